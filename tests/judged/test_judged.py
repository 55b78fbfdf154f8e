"""Verdicts on models that nobody tuned the package on: false alarms, misses, intervals, and the user's state."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from models_base import GENERIC, SLACK, Array, Model, copied, leaves, norm, rebuilt, reference, relative, spoilt
from models_networks import all_networks
from models_special import DropoutNet, LiveNet, single_precision
from models_statistics import all_statistics, scales

import gradproof as gp

SEEDS = (0, 1)


def zoo(seed: int) -> list[Model]:
    nets = all_networks(seed)
    # Of the twenty variants of the course's net each seed takes half.
    return [*nets[seed % 2 : 20 : 2], *nets[20:], *all_statistics(seed), scales(seed), *single_precision(seed)]


MODELS = [pytest.param(model, seed, id=f"{model.name}-{seed}") for seed in SEEDS for model in zoo(seed)]


def wide(tree: Any) -> Any:
    parts = [leaf.astype(np.clongdouble if np.iscomplexobj(leaf) else np.longdouble) for leaf in leaves(tree)]
    return rebuilt(tree, iter(parts))


@functools.cache
def truth(model: Model) -> list[Array]:
    """The right gradient in extended precision; that it is right is the first test's to show."""
    return list(leaves(model.backward(wide(model.params), "")))


def beside(params: Any, seed: int) -> Any:
    """A point nearby at which no pre-activation is exactly zero."""
    rng = np.random.default_rng(seed)
    moved = [
        leaf * (1 + 0.01 * rng.normal(size=leaf.shape)) + 0.01 * np.abs(leaf).max() * rng.normal(size=leaf.shape)
        + (leaf == 0).all() * 0.01 * rng.normal(size=leaf.shape)
        for leaf in leaves(params)
    ]  # fmt: skip
    return rebuilt(params, iter(moved))


@functools.cache
def kinked(model: Model) -> bool:
    measured, right = reference(model.cost, model.params, by_size=model.by_size), truth(model)
    return relative(measured, right) > 1e-6


def vanishing(model: Model, true: Array, claimed: Array) -> bool:
    """Whether a tensor's gradient lies so far below the cost that float64 values of it cannot show it."""
    scale = max(1.0, abs(float(np.asarray(model.cost(model.params)).reshape(()))))
    return bool(norm(true) + norm(claimed) < 1e-9 * scale)


def dressed(model: Model, tree: Any) -> Any:
    return {f"d{key}": leaf for key, leaf in tree.items()} if model.prefixed else tree


def complaints(model: Model, claimed: Any, label: str, seed: int, *, as_function: bool = False) -> Iterator[str]:
    """Checks one claim against the truth and says what is amiss."""
    before = [np.array(leaf).tobytes() for leaf in leaves(model.params)]
    grads: Any = dressed(model, claimed)
    if as_function:
        grads = lambda p: dressed(model, model.backward(p, ""))  # noqa: E731
    report = gp.check(model.cost, model.params, grads, seed=seed)
    if [np.array(leaf).tobytes() for leaf in leaves(model.params)] != before:
        yield f"{label}: the parameters were changed"
    true, claims = truth(model), [np.asarray(leaf) for leaf in leaves(claimed)]
    loose = model.tolerance > 1e-5
    spare = 1e-6 if loose else 1e-9
    names = list(report.tensors)
    for name, right, claim in zip(names, true, claims, strict=True):
        tensor = report.tensors[name]
        off, where = relative([right], [claim]), f"{label}: {name} is truly off by"
        small = vanishing(model, right, claim)
        if tensor.verdict == "wrong" and (off < model.tolerance / 10 or norm(right - claim) < 1e-15):
            yield f"{where} {off:.3g} but WRONG: {tensor.difference}"
        if tensor.verdict == "correct" and off > model.tolerance and not small:
            yield f"{where} {off:.3g} but CORRECT: {tensor.difference}"
        low, high = tensor.difference.low - spare, tensor.difference.high + spare
        if not (small or kinked(model) or low <= off <= high):
            yield f"{where} {off:.6g}, outside {tensor.difference} ({tensor.verdict})"
    off = relative(true, claims)
    low, high = report.difference.low - spare, report.difference.high + spare
    if not (kinked(model) or low <= off <= high):
        yield f"{label}: the whole is truly off by {off:.6g}, outside {report.difference} ({report.verdict})"


@pytest.mark.parametrize(("model", "seed"), MODELS)
def test_right_gradient_is_right(model: Model, seed: int) -> None:
    point = beside(model.params, seed)
    measured = reference(model.cost, point, by_size=model.by_size)
    right = list(leaves(model.backward(wide(point), "")))
    # Against the whole gradient: differences resolve a tensor with a tiny share of the cost less well.
    whole = np.sqrt(sum(norm(leaf) ** 2 for leaf in right))
    for true, claimed in zip(measured, right, strict=True):
        assert norm(true - claimed) <= SLACK * (norm(true) + (0 if model.by_size else 1 + whole))


@pytest.mark.parametrize(("model", "seed"), MODELS)
def test_right_gradient_is_not_called_wrong(model: Model, seed: int) -> None:
    right = model.backward(model.params, "")
    found = [*complaints(model, right, "given", seed), *complaints(model, right, "called", seed + 7, as_function=True)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("model", "seed"), MODELS)
def test_planted_bug_is_judged_by_its_size(model: Model, seed: int) -> None:
    number = [parameter.values[0] for parameter in MODELS].index(model)
    stride = 8 if len(model.bugs) > 10 else 2
    found: list[str] = []
    for bug in model.bugs[number % stride :: stride]:
        found += complaints(model, model.backward(model.params, bug), bug, seed)
    right = model.backward(model.params, "")
    for bug in GENERIC[number % 6 :: 6]:
        found += complaints(model, spoilt(right, model.params, bug, number), f"{bug} ({number})", seed)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("model", "seed"), MODELS)
def test_right_gradient_is_called_correct(model: Model, seed: int) -> None:
    if kinked(model) or any(vanishing(model, leaf, leaf) for leaf in truth(model)):
        # Here "undecided" is honest; that it is not "wrong" is tested above.
        return
    report = gp.check(model.cost, model.params, dressed(model, model.backward(model.params, "")), seed=seed)
    reasons = {name: tensor.reason for name, tensor in report.tensors.items() if tensor.verdict != "correct"}
    assert report.verdict == "correct", reasons


def test_interval_of_the_whole_where_the_claim_is_nearly_zero() -> None:
    """The claim's norm says nothing about the reference's when the claim is far too small."""
    b, W = np.array([0.3, -0.2, 0.1]), np.arange(6.0) / 3 - 0.5
    g = np.exp(b) / np.exp(b).sum() - np.array([1.0, 0, 0])
    for size in (0.0, 1e-17, 1e-9, 1e-3):
        claim = np.full(3, size)
        report = gp.check(
            lambda p: float(np.log(np.exp(p["b"]).sum()) - p["b"][0] + np.sum(p["W"] ** 2)),
            {"W": W, "b": b},
            {"W": 2 * W, "b": claim},
        )
        assert report.tensors["b"].difference.low <= relative([g], [claim]) + 1e-9
        assert report.tensors["b"].difference.high >= relative([g], [claim]) - 1e-9
        true = relative([2 * W, g], [2 * W, claim])
        assert report.difference.low - 1e-9 <= true <= report.difference.high + 1e-9, size


@pytest.mark.parametrize("bug", ["", "derivative missing"])
def test_live_arrays_are_put_back(bug: str) -> None:
    net = LiveNet(0)
    before, arrays = copied(net.params), list(leaves(net.params))
    claimed = net.backward(bug)
    report = gp.check(net.cost, net.params, claimed)
    assert report.verdict == ("wrong" if bug else "correct"), str(report)
    if bug:
        assert [str(report.tensors[key].verdict) for key in ("W1", "b1", "W2", "b2")] == ["wrong"] * 2 + ["correct"] * 2
    assert all(now is then for now, then in zip(leaves(net.params), arrays, strict=True))
    assert all(now.tobytes() == then.tobytes() for now, then in zip(leaves(net.params), leaves(before), strict=True))


@pytest.mark.parametrize("bug", ["", "derivative missing"])
def test_live_arrays_with_a_gradient_function(bug: str) -> None:
    net = LiveNet(1)
    before = copied(net.params)
    report = gp.check(net.cost, net.params, lambda: net.backward(bug))
    assert report.verdict == ("wrong" if bug else "correct"), str(report)
    assert all(now.tobytes() == then.tobytes() for now, then in zip(leaves(net.params), leaves(before), strict=True))


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError, SystemExit])
@pytest.mark.parametrize("fail_at", [2, 3, 4, 9, 17, 25])
def test_live_arrays_are_put_back_after_an_interrupt(fail_at: int, failure: type[BaseException]) -> None:
    net = LiveNet(2)
    claimed = net.backward()
    before = copied(net.params)
    net.calls, net.fail_at, net.failure = 0, fail_at, failure
    state = np.random.get_state()[1].tobytes()  # type: ignore[index]  # noqa: NPY002
    # Whether an interrupt ends the check is not in question; what is left behind is.
    with contextlib.suppress(failure):
        gp.check(net.cost, net.params, claimed)
    assert net.calls >= fail_at
    assert all(now.tobytes() == then.tobytes() for now, then in zip(leaves(net.params), leaves(before), strict=True))
    assert np.random.get_state()[1].tobytes() == state  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize("local", [True, False], ids=["generator", "global"])
@pytest.mark.parametrize("bug", ["", "mask missing", "scale missing"])
def test_dropout_keeps_one_mask_and_gives_the_state_back(bug: str, local: bool) -> None:
    generator = np.random.default_rng(5) if local else None
    net = DropoutNet(3, generator)
    np.random.seed(11)  # noqa: NPY002
    held = str(np.random.get_state())  # noqa: NPY002
    own = str(generator.bit_generator.state) if generator else ""
    report = gp.check(net.cost, net.params, net.backward(bug))
    assert str(np.random.get_state()) == held  # noqa: NPY002
    if generator:
        assert str(generator.bit_generator.state) == own
    if bug:
        assert report.verdict in ("wrong", "undecided")
        assert report.tensors["v"].verdict != "wrong"
    else:
        assert report.verdict in ("correct", "undecided")
    if not local:
        # The global state can be frozen, so nothing excuses an undecided.
        assert report.verdict == ("wrong" if bug else "correct"), str(report)
        assert report.notes


def test_dropout_of_another_mask_is_undecided() -> None:
    np.random.seed(12)  # noqa: NPY002
    net = DropoutNet(4, None)
    claimed = net.backward("")(net.params)
    report = gp.check(net.cost, net.params, claimed)
    assert report.verdict == "undecided", str(report)


def test_global_state_after_an_interrupt() -> None:
    np.random.seed(13)  # noqa: NPY002
    net, calls = DropoutNet(4, None), [0]

    def cost(p: Any) -> float:
        calls[0] += 1
        value = net.cost(p)
        if calls[0] == 6:
            raise KeyboardInterrupt
        return value

    held = str(np.random.get_state())  # noqa: NPY002
    with pytest.raises(KeyboardInterrupt):
        gp.check(cost, net.params, net.backward(""))
    assert str(np.random.get_state()) == held  # noqa: NPY002


RNG = np.random.default_rng(0)
b0, W0 = RNG.normal(size=4), RNG.normal(size=(3, 4))


def cost0(p: Any) -> float:
    return float(np.sum(p["W"] ** 2) + np.sum(p["b"] ** 3))


def params0() -> dict[str, Array]:
    return {"W": W0.copy(), "b": b0.copy()}


def grads0() -> dict[str, Any]:
    return {"dW": 2 * W0, "db": 3 * b0**2}


@pytest.mark.parametrize(
    "value", [None, np.ones(3), np.zeros(0), np.nan, np.inf, "x", 1 + 2j, np.array([None])], ids=repr
)
def test_cost_that_is_no_number(value: Any) -> None:
    with pytest.raises(gp.InputError, match=r"cost.* should be .*, but is .*"):
        gp.check(lambda p: value, params0(), grads0())


def test_integer_parameters() -> None:
    n = np.arange(12).reshape(3, 4)
    with pytest.raises(gp.InputError, match="W should be a float array"):
        gp.check(cost0, {"W": n, "b": b0}, {"dW": 2 * n, "db": 3 * b0**2})
    assert gp.check(lambda p: float(np.sum(p["b"][p["n"]] ** 2)), {"n": np.arange(4), "b": b0}, {"db": 2 * b0})


def test_empty_tensors() -> None:
    report = gp.check(cost0, {"W": W0, "b": np.zeros(0)}, {"dW": 2 * W0, "db": np.zeros(0)})
    assert report.verdict == report.tensors["b"].verdict == "correct"
    assert gp.check(lambda p: 1.0, {"b": np.zeros(0)}, {"db": np.zeros(0)}).verdict == "correct"
    assert gp.check(lambda p: 1.0, {"b": np.zeros((0, 3))}, {"db": np.zeros((0, 3))}).verdict == "correct"


@pytest.mark.parametrize("claimed", [[2 * W0, b0], np.zeros(16), 3, {"foo": 1.0}, lambda p: None])
def test_unpaired_structure(claimed: Any) -> None:
    with pytest.raises(gp.InputError, match="names W, b"):
        gp.check(cost0, params0(), claimed)


@pytest.mark.parametrize("extra", [np.ones(3), None, "cache"], ids=["array", "None", "text"])
def test_extra_keys_are_noted(extra: Any) -> None:
    report = gp.check(cost0, params0(), {**grads0(), "dZ1": extra})
    assert report.verdict == "correct"
    assert any("dZ1" in note for note in report.notes)


CONTRACT = {
    "missing": ({"dW": 2 * W0}, "b"),
    "None": ({"dW": 2 * W0, "db": None}, "b"),
    "shape": ({"dW": 2 * W0.T, "db": 3 * b0**2}, "W"),
    "size": ({"dW": 2 * W0, "db": 3 * b0[:2] ** 2}, "b"),
    "NaN": ({"dW": 2 * W0, "db": np.where(np.arange(4) == 2, np.nan, 3 * b0**2)}, "b"),
    "inf": ({"dW": np.where(np.arange(4) == 2, -np.inf, 2 * W0), "db": 3 * b0**2}, "W"),
    "text": ({"dW": 2 * W0, "db": "hello"}, "b"),
}


@pytest.mark.parametrize("kind", CONTRACT)
def test_broken_contract_is_a_finding(kind: str) -> None:
    claimed, name = CONTRACT[kind]
    report = gp.check(cost0, params0(), claimed)
    other = "W" if name == "b" else "b"
    assert report.verdict == report.tensors[name].verdict == "wrong"
    assert report.tensors[other].verdict == "correct"
    [finding] = [f for f in report.findings if f.cause == "contract"]
    assert (finding.severity, finding.tensors) == ("error", (name,))
    if kind == "NaN":
        assert str(finding.where) == "b[2]"
    if kind == "text":
        assert "No gradient" not in finding.message


def test_layout_is_a_warning() -> None:
    report = gp.check(cost0, params0(), {"dW": 2 * W0, "db": 3 * b0[None] ** 2})
    assert report.verdict == "correct"
    assert [(f.cause, f.severity) for f in report.findings] == [("contract", "warning")]
    report = gp.check(cost0, params0(), {"dW": 2 * W0, "db": 2 * b0[None] ** 2})
    assert report.tensors["b"].verdict == "wrong"


def test_cost_that_changes_its_parameters() -> None:
    def cost(p: Any) -> float:
        p["W"] -= 0.1
        return cost0(p)

    params = params0()
    with pytest.raises(gp.InputError, match="W should be left as it was"):
        gp.check(cost, params, grads0())
    assert params["W"].tobytes() == W0.tobytes()


def test_gradient_that_changes_its_parameters() -> None:
    def grads(p: Any) -> Any:
        found = {"dW": 2 * p["W"].copy(), "db": 3 * p["b"] ** 2}
        p["W"] -= 1.0
        return found

    params = params0()
    with pytest.raises(gp.InputError, match="changed in place"):
        gp.check(cost0, params, grads)
    assert params["W"].tobytes() == W0.tobytes()


def test_cost_that_keeps_its_parameters() -> None:
    kept: list[Any] = []

    def cost(p: Any) -> float:
        kept.append(p)
        return cost0(p)

    assert gp.check(cost, params0(), grads0()).verdict == "correct"
    # What was kept from the first call must still be what it was then.
    assert kept[0]["W"].tobytes() == W0.tobytes()


def raising(domain: Callable[[Array], Array], value: Callable[[Array], Any]) -> Callable[[Any], float]:
    def cost(p: Any) -> float:
        if not domain(p["x"]).all():
            raise ValueError("outside")
        return float(np.sum(value(p["x"])))

    return cost


def silent(value: Callable[[Array], Any]) -> Callable[[Any], float]:
    def cost(p: Any) -> float:
        with np.errstate(all="ignore"):
            return float(np.sum(value(p["x"])))

    return cost


NEAR = np.array([1e-12, 0.5, 2.0])
INSIDE = np.array([1e-9, 0.3, 1 - 1e-9])
EDGE = np.array([0.0, 0.3, 1.0])
ROOTS = np.array([0.0, 0.5, 2.0, 0.0])


def unit(x: Array) -> Array:
    return (x >= 0) & (x <= 1)


def root_power(x: Array) -> Array:
    return x * np.sqrt(x)


DOMAINS: dict[str, tuple[Callable[[Any], float], Array, Array]] = {
    "root": (raising(lambda x: x >= 0, np.sqrt), NEAR, 0.5 / np.sqrt(NEAR)),
    "silent root": (silent(np.sqrt), NEAR, 0.5 / np.sqrt(NEAR)),
    "logarithm": (silent(np.log), NEAR, 1 / NEAR),
    "raising logarithm": (raising(lambda x: x > 0, np.log), NEAR, 1 / NEAR),
    "probability near its edges": (raising(unit, np.square), INSIDE, 2 * INSIDE),
    "probability at its edges": (raising(unit, np.square), EDGE, 2 * EDGE),
    "power at the boundary": (raising(lambda x: x >= 0, root_power), ROOTS, 1.5 * np.sqrt(ROOTS)),
    "silent power at the boundary": (silent(root_power), ROOTS, 1.5 * np.sqrt(ROOTS)),
}
UNDECIDED_IS_HONEST = ("power at the boundary", "silent power at the boundary")


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_domain_ends_next_to_the_point(name: str, seed: int) -> None:
    cost, x, g = DOMAINS[name]
    report = gp.check(cost, {"x": x}, {"x": g}, seed=seed)
    allowed = ("correct", "undecided") if name in UNDECIDED_IS_HONEST else ("correct",)
    assert report.verdict in allowed, str(report)
    for bad in (1.2 * g, g + np.eye(len(g))[1], -g):
        assert gp.check(cost, {"x": x}, {"x": bad}, seed=seed).verdict != "correct"


def test_exception_at_the_point_goes_through() -> None:
    def cost(p: Any) -> float:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        gp.check(cost, params0(), grads0())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_jump_exactly_at_the_point(seed: int) -> None:
    y = np.array([1.0, 0.3])
    for cost in (
        lambda p: float(np.sum(p["y"] ** 2)) + 5.0 * float(p["y"][0] == 1.0),
        lambda p: float(np.sum(p["y"] ** 2)) + 5.0 * float(p["y"][0] >= 1.0),
    ):
        assert gp.check(cost, {"y": y}, {"y": 2 * y}, seed=seed).verdict != "wrong"
        assert gp.check(cost, {"y": y}, {"y": 2 * y + [0.0, 1.0]}, seed=seed).verdict != "correct"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_locally_constant_cost(seed: int) -> None:
    y = np.array([1.1, 0.35])
    for cost in (
        lambda p: float(np.sum(np.floor(3.3 * p["y"]))),
        lambda p: float(np.sum(np.round(p["y"], 1))),
        lambda p: float(np.round(np.sum(p["y"] ** 2), 1)),
        lambda p: float(np.argmax(p["y"])),
    ):
        assert gp.check(cost, {"y": y}, {"y": 0 * y}, seed=seed).verdict != "wrong"


def test_coarsely_rounded_cost_is_not_proof() -> None:
    """A cost printed to two digits has the right slope at large steps only: rounding explains the mismatch."""
    y = np.array([1.0, 0.3])
    report = gp.check(lambda p: float(np.round(np.sum(p["y"] ** 2), 2)), {"y": y}, {"y": 2 * y})
    assert report.verdict != "wrong", str(report)


def test_masked_parameters() -> None:
    m = np.array([0.0, -np.inf, 0.3])

    def cost(p: Any) -> float:
        return float(np.log(np.sum(np.exp(p["m"]))))

    g = np.exp(m) / np.exp(m).sum()
    assert gp.check(cost, {"m": m}, {"m": g}).verdict == "correct"
    assert gp.check(cost, {"m": m}, {"m": 1.1 * g}).verdict == "wrong"


@pytest.mark.parametrize("exponent", [-200, -30, -9, 6, 30, 200])
def test_verdict_does_not_depend_on_the_scale_of_the_cost(exponent: int) -> None:
    scale = 10.0**exponent
    right = {key: scale * leaf for key, leaf in grads0().items()}
    wrong = {**right, "dW": right["dW"] * 1.001}
    assert gp.check(lambda p: scale * cost0(p), params0(), right).verdict == "correct"
    assert gp.check(lambda p: scale * cost0(p), params0(), wrong).verdict == "wrong"


@pytest.mark.parametrize("offset", [1e3, 1e8, 1e13])
def test_large_constant_in_the_cost(offset: float) -> None:
    report = gp.check(lambda p: cost0(p) + offset, params0(), grads0())
    assert report.verdict != "wrong"
    wrong = {**grads0(), "db": 3.3 * b0**2}
    assert gp.check(lambda p: cost0(p) + offset, params0(), wrong).verdict != "correct"
    if offset < 1e9:
        assert gp.check(lambda p: cost0(p) + offset, params0(), wrong).verdict == "wrong"


@pytest.mark.parametrize("size", [1e-17, 1e-15, 1e-13, 1e-11, 1e-8])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 2.0])
def test_tensor_far_below_the_cost(size: float, factor: float) -> None:
    """Below the cost's rounding nothing is known of a tensor, and the interval has to say so."""
    a, c = np.array([0.3, -0.7, 1.1]), size * np.array([1.0, -2.0, 0.5])
    report = gp.check(
        lambda p: float(np.sum(np.cos(p["W"])) + c @ p["b"]), {"W": a, "b": a + 0.1}, {"W": -np.sin(a), "b": factor * c}
    )
    tensor = report.tensors["b"]
    true = relative([c], [factor * c])
    assert tensor.difference.low - 1e-9 <= true <= tensor.difference.high + 1e-9, str(report)
    if tensor.verdict == "correct":
        assert "zero" in tensor.reason
