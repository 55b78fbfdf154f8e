"""Gradient checks as tests: run it with ``pytest examples/test_with_pytest.py``.

The fixture ``gradproof`` comes with the package. A gradient that is proven wrong fails the test with the whole report.
"""

import numpy as np
import pytest


def softplus(params):
    return np.sum(np.logaddexp(0.0, params["z"]))


def sigmoid(params):
    return {"z": 1.0 / (1.0 + np.exp(-params["z"]))}


@pytest.fixture
def params():
    return {"z": np.linspace(-2.0, 3.0, 7)}


def test_gradient(gradproof, params):
    gradproof.check(softplus, params, sigmoid)


@pytest.mark.gradproof(seed=3, method="exhaustive")
def test_every_element(gradproof, params):
    report = gradproof.check(softplus, params, sigmoid)
    assert report.difference.high < 1e-7


def test_a_wrong_gradient_is_found(gradproof, params):
    with pytest.raises(gradproof.GradientError, match="WRONG"):
        gradproof.check(softplus, params, lambda params: {"z": np.tanh(params["z"])})
