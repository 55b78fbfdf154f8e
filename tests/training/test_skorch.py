"""The callback for skorch, in the real net."""

import warnings
from typing import Any

import pytest

import gradproof as gp

pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("skorch")

import torch
from sklearn.base import clone
from skorch import NeuralNetRegressor

from gradproof.callbacks.skorch import GradientCheck
from late import alike, data, late_model, model

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::gradproof.UndecidedWarning", "error::gradproof.CheckCostWarning"),
]


def trained(net: Any, callback: Any = None, epochs: int = 5) -> Any:
    torch.manual_seed(1)
    fitted = NeuralNetRegressor(
        net, max_epochs=epochs, batch_size=16, optimizer=torch.optim.Adam, optimizer__lr=0.1, verbose=0,
        callbacks=[callback] if callback else [],
    )  # fmt: skip
    return fitted.fit(*data())


def test_training_goes_the_same_way_with_and_without_it() -> None:
    callback = GradientCheck(steps=(0, 9))  # after a validation
    checked, plain = trained(model(), callback), trained(model())
    assert list(callback.stages) == ["initialisation", "step 9"]
    assert callback.stages.passed
    assert any("bernoulli" in note for note in callback.stages["step 9"].notes), "it was checked as it is trained"
    assert alike(checked.module_.state_dict().values(), plain.module_.state_dict().values())
    assert checked.history[:, "train_loss"] == plain.history[:, "train_loss"]
    assert checked.history[:, "valid_loss"] == plain.history[:, "valid_loss"]


def test_a_fault_that_shows_after_training_stops_it_there() -> None:
    with pytest.raises(gp.GradientError, match="step 60"):
        trained(late_model(), GradientCheck(steps=(0, 60)), epochs=20)
    callback = GradientCheck(steps=(0, 60), raise_if_wrong=False)
    trained(late_model(), callback, epochs=20)
    assert callback.stages["initialisation"].passed
    assert callback.stages.findings[0].regime.name == "branch"
    right = GradientCheck(steps=(0, 60))
    trained(late_model(wrong=False), right, epochs=20)
    assert right.stages.passed
    assert len(right.stages) == 2


def test_a_copy_checks_the_same_way() -> None:
    callback = GradientCheck(steps=(2,), only="0.*", raise_if_wrong=False)
    copied = clone(callback)
    assert copied is not callback
    trained(model(), copied)
    assert not len(callback.stages)
    assert list(copied.stages) == ["step 2"]
    assert list(copied.stages["step 2"].tensors) == ["0.weight", "0.bias"]


def test_a_cost_of_ones_own() -> None:
    callback = GradientCheck(lambda module, net, X, y: (module.train()(X) ** 3).mean())
    trained(model(), callback)
    assert callback.stages.passed
