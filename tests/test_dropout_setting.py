"""``dropout=``: off, frozen or refused, with the sources named, the layer named, and everything put back."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof import network
from gradproof.network.activations import HIDDEN
from gradproof.network.types import Array as Any_Array

Array = NDArray[np.float64]
DATA = tuple(part[:, :20] for part in network.load_digits())
SLIPS = ("mask", "scale", "both", "twice")
BITS = np.random.default_rng(50)


def parameters(seed: int = 0) -> dict[str, Any_Array]:
    rng = np.random.default_rng(seed)
    drawn = network.initialize_parameters((64, 8, 7, 6, 10), seed=seed)
    return {name: value + 0.05 * rng.standard_normal(value.shape) for name, value in drawn.items()}


def slipping(slip: str, at: int) -> Callable[..., dict[str, Any_Array]]:
    """The network's gradient with a slip on the way back through the dropout of one layer."""

    def grads(params: Any, X: Any, Y: Any, *, lambd: float = 0.0, **options: Any) -> dict[str, Any_Array]:
        AL, caches = network.forward_propagation(X, params, **options)
        dZ, m, found = AL - Y, X.shape[1], {}
        for layer in range(len(caches), 0, -1):
            cache = caches[layer - 1]
            found[f"dW{layer}"] = dZ @ cache.A_prev.T / m + lambd / m * cache.W
            found[f"db{layer}"] = np.sum(dZ, axis=1, keepdims=True) / m
            if layer > 1:
                below = caches[layer - 2]
                kept, D = below.keep_prob, np.ones(below.Z.shape) if below.D is None else below.D * 1.0
                back = D / kept
                if layer - 1 == at and below.D is not None:
                    back = {"mask": 1 / kept + 0 * D, "scale": D, "both": 1 + 0 * D, "twice": D / kept**2}[slip]
                dZ = cache.W.T @ dZ * back * HIDDEN[below.activation][1](below.Z)
        return found

    return grads


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("given", ["data", "args"])
def test_a_slip_on_the_way_back_through_dropout_is_found_with_its_layer(slip: str, at: int, given: str) -> None:
    options = {"hidden": "tanh", "keep_prob": 0.8, "lambd": 0.3, "rng": np.random.default_rng(5)}
    passed: dict[str, Any] = {given: DATA}
    report = gp.check(network.cost, parameters(), slipping(slip, at), options=options, **passed)
    finding = report.findings[0]
    assert report.verdict == "wrong"
    assert finding.cause == "dropout"
    assert f"layer {at}" in finding.message
    assert set(finding.tensors) == {f"{letter}{n}" for letter in "Wb" for n in range(1, at + 1)}


@pytest.mark.parametrize("slip", SLIPS)
def test_with_dropout_off_a_slip_in_it_cannot_show_and_the_rest_is_checked(slip: str) -> None:
    options = {"hidden": "tanh", "keep_prob": 0.8, "lambd": 0.3, "rng": np.random.default_rng(5)}
    kept = dict(options)
    before = options["rng"].bit_generator.state  # type: ignore[attr-defined]
    report = gp.check(network.cost, parameters(), slipping(slip, 2), data=DATA, options=options, dropout="off")
    assert report.passed
    assert "keep_prob = 1 in place of 0.8" in report.notes[0]
    assert report.checklist[1].answer.startswith("off (keep_prob = 1.0)")
    assert options == kept
    assert options["rng"].bit_generator.state == before  # type: ignore[attr-defined]
    assert not gp.check(network.cost, parameters(), slipping(slip, 2), data=DATA, options=options, dropout="freeze")


def test_frozen_is_the_default_and_right_under_one_pattern() -> None:
    options = {"hidden": "tanh", "keep_prob": 0.8, "rng": np.random.default_rng(5)}
    for dropout in (None, "freeze"):
        report = gp.check(network.cost, parameters(), network.gradients, args=DATA, options=options, dropout=dropout)
        assert report.passed
        assert "frozen" in " ".join(report.notes)


def dropped(w: Array, *, p: float = 0.4, rng: np.random.Generator = BITS) -> float:
    kept = rng.random(w.shape) >= p
    return float(np.sum((w * kept / (1 - p)) ** 4))


def dropped_gradient(w: Array, *, p: float = 0.4, rng: np.random.Generator = BITS) -> Array:
    kept = rng.random(w.shape) >= p
    return np.asarray(4 * w**3 * (kept / (1 - p)) ** 4)


W = np.random.default_rng(0).standard_normal(6)


def test_a_default_that_both_functions_take_is_switched_off_as_well() -> None:
    report = gp.check(dropped, W, dropped_gradient, dropout="off")
    assert report.passed
    assert "p = 0 in place of 0.4" in report.notes[0]
    # What one of them cannot take is not passed, and then there is nothing to switch off.
    with pytest.raises(gp.InputError, match="drawing from"):
        gp.check(dropped, W, lambda w: dropped_gradient(w), dropout="off")


def test_off_without_dropout_changes_nothing() -> None:
    plain = gp.check(lambda w: float(w @ w), W, lambda w: 2 * w)
    off = gp.check(lambda w: float(w @ w), W, lambda w: 2 * w, dropout="off")
    assert off.passed
    assert off.notes == plain.notes
    given = gp.check(lambda w, keep_prob: float(w @ w), W, 2 * W, options={"keep_prob": 1.0}, dropout="off")
    assert given.passed


def test_claims_computed_with_dropout_on_cannot_be_checked_with_dropout_off() -> None:
    with pytest.raises(gp.InputError, match=r"`grads` should be a function.*computed with p = 0.4"):
        gp.check(dropped, W, dropped_gradient(W), options={"p": 0.4}, dropout="off")


def in_numpy(w: Array) -> float:
    return float(np.sum(w**2) * np.random.random())  # noqa: NPY002


def in_python(w: Array) -> float:
    return float(np.sum(w**2) * random.random())


class Model:
    """Keeps its generators where models do."""

    def __init__(self) -> None:
        self.layers: list[dict[str, Any]] = [{"rng": np.random.default_rng(1)}, {"rng": np.random.RandomState(2)}]

    def first(self, w: Array) -> float:
        return float(np.sum(w**2) * self.layers[0]["rng"].random())

    def second(self, w: Array) -> float:
        return float(np.sum(w**2) * self.layers[1]["rng"].random_sample())


def in_a_closure() -> Callable[[Array], float]:
    inner = np.random.default_rng(3)
    return lambda w: float(np.sum(w**2) * inner.random())


def rarely(w: Array) -> float:
    """Draws, but the value almost never shows it."""
    return float(np.sum(w**2 * (BITS.random(6) < 1 - 1e-12)))


@pytest.mark.parametrize(
    ("cost", "name"),
    [
        (in_numpy, "NumPy's global random state"),
        (in_python, "Python's random module"),
        (Model().first, r"cost\.layers\[0\]\['rng'\]"),
        (Model().second, r"cost\.layers\[1\]\['rng'\]"),
        (in_a_closure(), "inner"),
        (rarely, "BITS"),
    ],
)
def test_refused_randomness_is_named_by_where_it_was_found(cost: Callable[[Array], float], name: str) -> None:
    states = np.random.get_state()[1].copy(), random.getstate(), BITS.bit_generator.state  # type: ignore[index]  # noqa: NPY002
    with pytest.raises(gp.InputError, match=f"the cost should be free of random numbers, but is drawing from {name}"):
        gp.check(cost, W, lambda w: 2 * w, dropout="refuse")
    assert np.array_equal(states[0], np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
    assert (random.getstate(), BITS.bit_generator.state) == states[1:]


def test_randomness_out_of_reach_is_refused_as_such() -> None:
    hidden = iter(np.random.default_rng(4).random(10_000))
    with pytest.raises(gp.InputError, match="from a source out of reach"):
        gp.check(lambda w: float(np.sum(w**2) * next(hidden)), W, lambda w: 2 * w, dropout="refuse")


def test_a_gradient_that_draws_is_refused_too() -> None:
    with pytest.raises(gp.InputError, match="the claimed gradient should be free of random numbers"):
        gp.check(lambda w: float(w @ w), W, lambda w: 2 * w * (BITS.random() < 2), dropout="refuse")


def test_what_draws_nothing_is_not_refused() -> None:
    unused = np.random.default_rng(5)
    report = gp.check(lambda w: float(w @ w) + 0 * (unused is None), W, lambda w: 2 * w, dropout="refuse")
    assert report.passed
    # The order of summation is no randomness.
    flip = iter([0.0, 1e-16] * 5000)
    assert gp.check(lambda w: float(w @ w) + next(flip), W, lambda w: 2 * w, dropout="refuse").verdict != "wrong"


def test_a_pattern_that_almost_never_changes_is_frozen_all_the_same() -> None:
    report = gp.check(rarely, W, lambda w: 2 * w * (BITS.random(6) < 1 - 1e-12))
    assert report.passed
    assert any("BITS" in note and "frozen" in note for note in report.notes)


@pytest.mark.parametrize("dropout", ["on", "", 1, True, ["off"]])
def test_an_unknown_way_is_refused_before_any_work(dropout: Any) -> None:
    def never(w: Array) -> float:
        raise AssertionError("the cost was called")

    with pytest.raises(gp.InputError, match="`dropout` should be one of"):
        gp.check(never, W, 2 * W, dropout=dropout)


def test_stages_take_it_as_well() -> None:
    stages = gp.Stages(network.cost, slipping("mask", 1), data=DATA, dropout="off",
                       options={"hidden": "tanh", "keep_prob": 0.8, "rng": np.random.default_rng(5)})  # fmt: skip
    stages.at("one", parameters(1))
    stages.at("two", parameters(2))
    assert stages.passed
    assert "keep_prob = 1" in str(stages)
