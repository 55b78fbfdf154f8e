"""What the tests of causes in finished gradients share: the planted networks, one by its name, and what a finding owes.

The decision behind it: whatever the cause, a finding must name the tensors that were changed and no others, its mask
must be where the claim differs from the right gradient, and its sentences must hold the user's names.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

import gradproof as gp
from planted import attention, convolution, course, embedding, normed, recurrent, softmax
from planted.base import Array, Model, changing, leaves

Change = Callable[[Array], Any]

#: A weight of the first layer, one in the middle, one of the last; the same for biases.
WEIGHTS = {
    "course": ("W1", "W3", "W4"),
    "softmax": ("layers.0.weight", "layers.1.weight", "layers.2.weight"),
    "convolution": ("K1", "K2", "W3"),
    "recurrent": ("Wx", "Wh", "Wy"),
    "normed": ("W1", "W2", "W3"),
    "attention": ("We", "Wq", "Wl"),
    "embedding": ("E", "W1", "W2"),
}
BIASES = {
    "course": ("b1", "b3", "b4"),
    "softmax": ("layers.0.bias", "layers.1.bias", "layers.2.bias"),
    "normed": ("beta1", "beta2", "b3"),
}
#: (network, tensor): three layers of two networks.
PLACES = [(name, tensor) for name in ("course", "softmax") for tensor in (*WEIGHTS[name], *BIASES[name])]
WEIGHT_PLACES = [(name, tensor) for name in ("course", "softmax", "normed") for tensor in WEIGHTS[name]]


@cache
def net(name: str, activation: str = "tanh") -> Model:
    """A small network with its right gradient."""
    match name:
        case "course":
            return course.build(0, activation, "small")
        case "softmax":
            return softmax.build(0, activation, "small")
        case "convolution":
            return convolution.build(0, activation, "small")
    module: Any = {"recurrent": recurrent, "normed": normed, "attention": attention, "embedding": embedding}[name]
    found = module.network(0, activation, 1)
    return Model(found.name, found.cost, found.right, found.params, found.data, found.examples_axis, found.options)


def theta(model: Model, name: str) -> Array:
    """One tensor of the parameters."""
    value: Array = leaves(model.params)[name]
    return value


def check(
    model: Model, changes: Mapping[str, Change] | None = None, *, data: bool = False, grads: Any = None, **more: Any
) -> gp.Report:
    """Checks a network whose finished gradient is changed; without ``data`` nothing but the parameters is varied."""
    claim = changing(model.grads if grads is None else grads, **(changes or {}))
    if data:
        given: dict[str, Any] = {"data": model.data, "examples_axis": model.examples_axis, "options": {**model.options}}
        return gp.check(model.cost, model.params, claim, **{**given, **more})

    def cost(params: Any) -> float:
        value: float = model.cost(params, *model.data, **model.options)
        return value

    return gp.check(cost, model.params, lambda params: claim(params, *model.data, **model.options), **more)


def silent(report: gp.Report) -> None:
    """Demands a right gradient without findings."""
    assert report.verdict == "correct", report
    assert report.findings == (), report


def one(report: gp.Report, cause: str) -> gp.Finding:
    """The one finding, which has this cause."""
    assert report.verdict == "wrong", report
    assert [f.cause for f in report.findings] == [cause], report
    return report.findings[0]


def told(
    model: Model,
    cause: str,
    changes: Mapping[str, Change],
    *,
    detail: str | None = None,
    data: bool = False,
    proven: bool = True,
    **more: Any,
) -> gp.Finding:
    """Demands that one finding names the cause of these changes, their tensors and their elements, and proves it."""
    report = check(model, changes, data=data, **more)
    finding = one(report, cause)
    assert detail is None or finding.detail == detail, finding
    owes(finding, report, model, changes)
    if proven:
        assert finding.repaired is not None, finding
        assert finding.repaired < 1e-6, finding
    else:
        assert finding.repaired is None, finding
    return finding


def owes(finding: gp.Finding, report: gp.Report, model: Model, changes: Mapping[str, Change]) -> None:
    """What every finding owes: the tensors, the elements, and sentences with the user's names."""
    assert set(finding.tensors) == set(changes), finding
    assert finding.severity == "error"
    for name, tensor in report.tensors.items():
        assert tensor.verdict == ("wrong" if name in changes else "correct"), report
    for name, change in changes.items():
        right = model.right_leaf(name)
        mask = finding.where.mask(name)
        assert mask.shape == right.shape
        changed = ~np.isclose(change(right), right, rtol=1e-9, atol=0.0)
        assert mask[changed].all(), (finding.where.text, name)
        if finding.where.exact:
            assert not mask[~changed].any(), (finding.where.text, name)
        if len(changes) < 4:
            for sentence in (finding.message, finding.fix, finding.where.text):
                assert name in sentence, finding
    for sentence in (finding.message, finding.fix):
        assert sentence.endswith("."), sentence
        assert "{" not in sentence
        assert "float64(" not in sentence, sentence
    assert finding.cause not in finding.also
    assert finding.message in str(report).replace("\n", " ").replace("  ", " ") or len(finding.message) > 60


def fitted(finding: gp.Finding, value: float, sharp: float = 1e-7) -> None:
    """Demands a fitted number that is what it should be, within an error that is small and not too small."""
    assert finding.factor is not None
    number, error = finding.factor
    assert type(number) is float
    assert 0.0 < error < sharp * abs(value), finding.factor
    assert abs(number - value) <= 3.0 * error, (finding.factor, value)


def causes(report: gp.Report) -> set[str]:
    """The causes of a report."""
    return {f.cause for f in report.findings}
