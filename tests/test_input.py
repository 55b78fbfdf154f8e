"""What users get wrong, one by one: what is said, when, and that everything is put back."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp

Array = NDArray[np.float64]
RNG = np.random.default_rng(7)
PARAMS: dict[str, Any] = {"W": RNG.standard_normal((3, 4)), "b": RNG.uniform(1.0, 2.0, 3)}
#: The four parts of a message: what was being done, to what, demanded and got, what to do.
FOUR_PARTS = re.compile(r"While [a-z].+: .+ should be .+, but is .+\. [A-Z].+\.$", re.DOTALL)
METHODS = ["auto", "probe", "exhaustive", "classic"]


def cost(p: dict[str, Any]) -> float:
    return float(np.sum(np.tanh(p["W"]) ** 2) + np.sum(p["b"] ** 4))


def grads(p: dict[str, Any]) -> dict[str, Any]:
    tanh = np.tanh(p["W"])
    return {"W": 2.0 * tanh * (1.0 - tanh**2), "b": 4.0 * p["b"] ** 3}


class Counted:
    """A cost that counts its calls."""

    def __init__(self, function: Callable[[dict[str, Any]], Any]) -> None:
        self.calls = 0
        self._function = function

    def __call__(self, p: dict[str, Any]) -> Any:
        self.calls += 1
        return self._function(p)


def bits(params: Any = PARAMS) -> dict[str, bytes]:
    return {name: np.asarray(value).tobytes() for name, value in params.items()}


@pytest.fixture(autouse=True)
def _nothing_is_changed() -> Any:
    state = np.random.get_state()[1].tobytes()  # type: ignore[index]  # noqa: NPY002
    before = bits()
    yield
    assert bits() == before
    assert np.random.get_state()[1].tobytes() == state  # type: ignore[index]  # noqa: NPY002


def refused(params: Any, claim: Any, function: Callable[..., Any] = cost, **more: Any) -> tuple[str, int]:
    """The message of the refusal and how often the cost was evaluated before it."""
    counted = Counted(function)
    with pytest.raises(gp.InputError) as error:
        gp.check(counted, params, claim, **more)
    message = str(error.value)
    assert FOUR_PARTS.match(message), message
    return message, counted.calls


# What the cost returns.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "None"),
        ("abc", "'abc'"),
        (True, "True"),
        (1j, "1j"),
        (np.zeros((2, 3)), "an array of shape (2, 3) and dtype float64"),
        (np.zeros(0), "an array of shape (0,)"),
        ([1.0, 2.0], "a list"),
        ({"cost": 1.0}, "a dict"),
    ],
)
def test_a_cost_that_returns_no_number(method: str, returned: Any, said: str) -> None:
    message, calls = refused(PARAMS, grads, lambda p: returned, method=method)
    assert "evaluating the cost at the given parameters" in message
    assert "one real number" in message
    assert said in message
    assert calls == 1
    assert ("check_function" in message) == (np.size(returned) != 1 and isinstance(returned, np.ndarray | list))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_cost_that_is_not_finite_at_the_point(method: str, value: float) -> None:
    message, calls = refused(PARAMS, grads, lambda p: value, method=method)
    assert f"the cost should be finite, but is {value} with " in message
    for name, part in PARAMS.items():
        assert f"{name} in [{part.min():.3g}, {part.max():.3g}]" in message
    assert calls == 1


def test_the_ranges_are_named_for_empty_nan_and_complex_parameters_too() -> None:
    params = {"e": np.empty(0), "n": np.array([1.0, np.nan]), "z": np.array([1.0 + 5.0j])}
    message, _ = refused(params, params, lambda p: np.nan)
    assert "n in [nan, nan]" in message
    assert "z in [1, 5]" in message
    assert "e in" not in message


# What cannot be checked at all is refused before the cost is evaluated.

CIRCLE: list[Any] = [1.0]
CIRCLE.append(CIRCLE)
BEFORE: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "no gradient": (PARAMS, None, {}, "`grads`"),
    "method": (PARAMS, grads, {"method": "fast"}, "`method`"),
    "tolerance of zero": (PARAMS, grads, {"tolerance": 0.0}, "`tolerance`"),
    "tolerance of one": (PARAMS, grads, {"tolerance": 1}, "`tolerance`"),
    "tolerance as text": (PARAMS, grads, {"tolerance": "1e-5"}, "`tolerance`"),
    "tolerance of NaN": (PARAMS, grads, {"tolerance": np.nan}, "`tolerance`"),
    "tolerance of a name": (PARAMS, grads, {"tolerance": {"W": -1.0}}, "`tolerance`"),
    "tolerance of no name": (PARAMS, grads, {"tolerance": {1: 1e-5}}, "`tolerance`"),
    "budget": (PARAMS, grads, {"budget": "30"}, "`budget`"),
    "seed": (PARAMS, grads, {"seed": -1}, "`seed`"),
    "workers": (PARAMS, grads, {"workers": "all"}, "`workers`"),
    "only": (PARAMS, grads, {"only": 3}, "`only`"),
    "exclude": (PARAMS, grads, {"exclude": ["W", 3]}, "`exclude`"),
    "nothing left": (PARAMS, grads, {"only": "V*"}, "W, b"),
    "all left out": (PARAMS, grads, {"exclude": "*"}, "W, b"),
    "no parameters": ({}, {}, {}, "but is {}."),
    "parameters of text": ("W", "W", {}, "but is 'W'."),
    "nothing as parameters": (None, None.__class__, {}, "but is None."),
    "an object as parameters": (object(), 1.0, {}, "but is of type object and holds none."),
    "integers alone": ({"n": np.arange(3)}, {"n": np.ones(3)}, {}, "n holds int64"),
    "integers alone and a function": ({"n": np.arange(3)}, grads, {}, "n.astype(float)"),
    "booleans alone": ({"m": np.array([True])}, {"m": np.ones(1)}, {}, "m holds bool"),
    "a bare integer array": (np.arange(3), np.ones(3), {}, "holds int64"),
    "a number that is an integer": (3, 1.0, {}, "Convert what the gradient belongs to: 3.0 in place of 3."),
    "a list of integers": ([3, 2], [1.0, 1.0], {}, "0 holds the int 3. Convert what the gradient belongs to: 3.0 in"),
    "an integer with a claim": ({"W": PARAMS["W"], "n": np.arange(3)}, {"W": PARAMS["W"], "n": np.ones(3)}, {}, "n"),
    "a boolean with a claim": ({"W": np.ones(2), "m": np.array([True])}, {"W": np.ones(2), "dm": np.ones(1)}, {}, "m"),
    "another structure": (PARAMS, [1.0, 2.0], {}, "but is one with 0, 1"),
    "a flat gradient": (PARAMS, np.ones(15), {}, "but is one array of shape (15,). Return the gradient in the same"),
    "an empty gradient": (PARAMS, {}, {}, "but is one with nothing"),
    "text as a gradient": (PARAMS, "abc", {}, "but is 'abc'. Return"),
    "masked parameters": ({"W": np.ma.masked_array([1.0])}, {"W": np.ones(1)}, {}, "a masked array"),
    "objects": ({"W": np.array([1.0, 2.0], object)}, {"W": np.ones(2)}, {}, "an object array"),
    "a masked gradient": ({"W": np.ones(1)}, {"W": np.ma.masked_array([1.0])}, {}, "a masked array"),
    "a circle": (CIRCLE, [1.0], {}, "contains itself"),
}  # fmt: skip


@pytest.mark.parametrize("what", BEFORE)
def test_refused_before_any_evaluation(what: str) -> None:
    params, claim, more, said = BEFORE[what]
    message, calls = refused(params, claim, **more)
    assert said in message
    assert calls == 0


@pytest.mark.parametrize("function", [1.0, None, "cost", np.ones(2)])
def test_a_cost_that_is_no_function(function: Any) -> None:
    with pytest.raises(gp.InputError) as error:
        gp.check(function, PARAMS, grads)
    assert FOUR_PARTS.match(str(error.value))
    assert f"`cost` should be a function, but is a {type(function).__name__}" in str(error.value)


def test_a_function_that_returns_no_gradient_is_refused_as_soon_as_it_has() -> None:
    for returned in (None, [1.0, 2.0], np.ones(15), {"n": 1.0}):
        message, calls = refused(PARAMS, lambda p, returned=returned: returned)
        assert "W, b" in message
        assert calls == 3  # to see whether it stands still; the gradient is asked for right after


def test_a_missing_return_is_thought_of() -> None:
    message, _ = refused(PARAMS, lambda p: None)
    assert "but is None. Perhaps its `return` is missing. Return the gradient" in message


def test_a_pair_is_told_what_it_may_be() -> None:
    asked: list[tuple[Any, dict[str, Any], str]] = [
        (lambda p: (cost(p), "more"), {}, "Pass grads=True where it returns (cost, grads)"),
        (cost, {"has_aux": True}, "a pair"),
        (lambda p: ((cost(p), "more"), "even more"), {"has_aux": True}, "not both"),
        (lambda p: np.ones(3), {}, "check_function"),
    ]
    for function, more, said in asked:
        with pytest.raises(gp.InputError) as error:
            gp.check(function, PARAMS, grads, **more)
        assert FOUR_PARTS.match(str(error.value))
        assert said in str(error.value)


def test_integers_without_a_claim_are_left_alone() -> None:
    params = {**PARAMS, "n": np.arange(3), "m": np.array([True]), "k": 4}
    for claim in (grads, grads(PARAMS)):
        report = gp.check(cost, params, claim)
        assert report.passed
        assert list(report.tensors) == ["W", "b"]


def test_names_in_messages_are_the_users() -> None:
    def loss(theta: Any) -> float:
        return float(len(theta))

    with pytest.raises(gp.InputError, match="While reading theta: theta should be"):
        gp.check(loss, {}, {})
    with pytest.raises(gp.InputError, match=r"layers\.1\.w"):
        gp.check(
            lambda p: np.nan, {"layers": [{"w": np.ones(2)}, {"w": np.ones(2)}]},
            {"layers": [{"w": np.ones(2)}, {"w": np.ones(2)}]},
        )  # fmt: skip


# Empty tensors.


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_empty_tensors_are_correct(method: str, shape: tuple[int, ...]) -> None:
    params = {**PARAMS, "e": np.empty(shape)}
    report = gp.check(cost, params, lambda p: {**grads(p), "e": np.empty(shape)}, method=method)
    assert report.passed
    assert list(report.tensors) == ["W", "b", "e"]
    assert float(report.tensors["e"].difference) == 0.0
    assert gp.check(lambda p: 1.0, {"e": np.empty(shape)}, {"e": np.empty(shape)}, method=method).passed
    wrong = gp.check(cost, params, lambda p: {**grads(p), "e": np.empty(shape), "b": 2.0 * p["b"]}, method=method)
    assert [t.verdict for t in wrong.tensors.values()] == ["correct", "wrong", "correct"]


# What is wrong with the form of a claim makes its tensor wrong, and no other.


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive"])
@pytest.mark.parametrize("as_function", [True, False])
@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ("gone", "missing"),
        (None, "missing"),
        ("soon", "missing"),
        (np.ones((4, 3)), "shape"),
        (np.ones(13), "shape"),
        (np.full((3, 4), np.nan), "NaN"),
        (np.full((3, 4), -np.inf), "infinite"),
    ],
)
def test_a_finding_makes_its_tensor_wrong(method: str, as_function: bool, entry: Any, detail: str) -> None:
    claim = {name: value for name, value in {**grads(PARAMS), "W": entry}.items() if value is not None or entry is None}
    if isinstance(entry, str) and entry == "gone":
        del claim["W"]
    report = gp.check(cost, PARAMS, (lambda p: claim) if as_function else claim, method=method)
    assert {name: t.verdict.value for name, t in report.tensors.items()} == {"W": "wrong", "b": "correct"}
    assert [(f.cause, f.detail, f.severity, f.tensors) for f in report.findings] == [("contract", detail, "error", ("W",))]  # noqa: E501  # fmt: skip
    assert report.tensors["W"].reason == report.findings[0].message
    assert "WRONG" in str(report)


@pytest.mark.parametrize("method", ["auto", "exhaustive"])
def test_a_layout_difference_is_warned_about_and_compared(method: str) -> None:
    right, wrong = ({**grads(PARAMS), "b": factor * grads(PARAMS)["b"].reshape(1, 3)} for factor in (1.0, 1.1))
    report = gp.check(cost, PARAMS, right, method=method)
    assert report.passed
    assert [(f.detail, f.severity) for f in report.findings] == [("layout", "warning")]
    assert gp.check(cost, PARAMS, wrong, method=method).tensors["b"].verdict == "wrong"


def test_extra_keys_are_noted_and_change_nothing() -> None:
    report = gp.check(cost, PARAMS, lambda p: {**grads(p), "dZ": np.full(9, np.nan), "cache": None})
    assert report.passed
    assert any("dZ" in note and "cache" in note for note in report.notes)


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive", "classic"])
def test_the_place_of_what_is_not_finite_is_named(method: str) -> None:
    claim = grads(PARAMS)
    claim["W"][2, 1] = np.nan
    report = gp.check(cost, PARAMS, claim, method=method)
    assert str(report.findings[0].where) == "W[2, 1]"
    assert report.tensors["W"].verdict == ("undecided" if method == "classic" else "wrong")


# What the cost does to its parameters.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("vectorized", [False, True])
def test_a_cost_that_changes_its_parameters_is_refused(method: str, vectorized: bool) -> None:
    def changing(p: dict[str, Any]) -> Any:
        p["b"] *= 0.5
        return np.sum(p["b"] ** 2, axis=-1)

    message, calls = refused(PARAMS, grads, changing, method=method, vectorized=vectorized)
    assert "b should be left as it was, but is changed in place by the cost" in message
    assert calls == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_that_changes_the_parameters_is_refused(method: str) -> None:
    def updating(p: dict[str, Any]) -> dict[str, Any]:
        found = grads(p)
        p["W"] -= 0.1 * found["W"]
        return found

    message, _ = refused(PARAMS, updating, method=method)
    assert "W should be left as it was, but is changed in place by the gradient" in message


@pytest.mark.parametrize("method", METHODS)
def test_a_cost_that_keeps_what_it_was_given_finds_it_unchanged_later(method: str) -> None:
    kept: list[tuple[Array, bytes]] = []

    def keeping(p: dict[str, Any]) -> float:
        kept.append((p["W"], p["W"].tobytes()))
        return cost(p)

    report = gp.check(keeping, PARAMS, grads, method=method)
    assert report.verdict == ("undecided" if method == "classic" else "correct")
    assert all(array.tobytes() == then for array, then in kept)
    assert not any(np.shares_memory(array, PARAMS["W"]) for array, _ in kept)


def test_new_keys_in_the_nesting_it_was_given_do_not_stay() -> None:
    def caching(p: dict[str, Any]) -> float:
        assert "cache" not in p
        p["cache"] = 1.0
        return cost(p)

    assert gp.check(caching, PARAMS, grads).passed
    assert list(PARAMS) == ["W", "b"]


# What the cost raises.


@pytest.mark.parametrize("method", METHODS)
def test_what_the_cost_raises_at_the_point_goes_through_with_a_note(method: str) -> None:
    raised = KeyError("W9")

    def raising(p: dict[str, Any]) -> float:
        raise raised

    with pytest.raises(KeyError) as error:
        gp.check(raising, PARAMS, grads, method=method)
    assert error.value is raised
    assert error.value.args == ("W9",)
    assert any("raised by the cost at the given parameters" in note for note in error.value.__notes__)


@pytest.mark.parametrize("method", METHODS)
def test_what_the_gradient_raises_goes_through_with_a_note(method: str) -> None:
    raised = ZeroDivisionError("oops")

    def raising(p: dict[str, Any]) -> Any:
        raise raised

    with pytest.raises(ZeroDivisionError) as error:
        gp.check(cost, PARAMS, raising, method=method)
    assert error.value is raised
    assert any("raised by the claimed gradient" in note for note in error.value.__notes__)


@pytest.mark.parametrize("does", [lambda: 1 / 0, lambda: np.nan, lambda: np.inf, lambda: None, lambda: np.ones(2)])
@pytest.mark.parametrize("method", METHODS)
def test_a_cost_that_fails_at_a_step_while_fine_at_the_point(method: str, does: Callable[[], Any]) -> None:
    # Its domain ends 1e-3 above W[0, 0], which every larger step leaves.
    def failing(p: dict[str, Any]) -> Any:
        return does() if p["W"][0, 0] > PARAMS["W"][0, 0] + 1e-3 else cost(p)

    report = gp.check(failing, PARAMS, grads, method=method)
    assert report.verdict == ("undecided" if method == "classic" else "correct"), str(report)
    off = gp.check(failing, PARAMS, lambda p: {**grads(p), "b": 1.1 * grads(p)["b"]}, method=method)
    assert off.tensors["b"].verdict == ("undecided" if method == "classic" else "wrong")


def test_a_cost_that_exists_at_the_point_alone_is_refused_by_name() -> None:
    def alone(p: dict[str, Any]) -> float:
        if not np.array_equal(p["W"], PARAMS["W"]):
            raise ValueError("elsewhere")
        return cost(p)

    message, _ = refused(PARAMS, grads, alone)
    assert "W[0, 0]" in message
    assert "exclude=" in message
    with pytest.raises(gp.InputError) as error:
        gp.check(alone, PARAMS, grads)
    assert isinstance(error.value.__cause__, ValueError)
    assert "gradproof: what the cost raises there: ValueError: elsewhere" in error.value.__notes__


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("call", [1, 4, 5, 8, 20])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_goes_through_and_everything_is_put_back(
    method: str, call: int, raised: type[BaseException]
) -> None:
    params = {name: value.copy() for name, value in PARAMS.items()}
    before, state = bits(params), np.random.get_state()[1].tobytes()  # type: ignore[index]  # noqa: NPY002
    rng, calls = np.random.default_rng(1), [0]
    start = rng.bit_generator.state

    def interrupted(p: dict[str, Any]) -> float:
        calls[0] += 1
        factor = rng.random() + np.random.random()  # noqa: NPY002
        if calls[0] == call:
            raise raised
        return factor * cost(p)

    def claim(p: dict[str, Any]) -> dict[str, Any]:
        factor = rng.random() + np.random.random()  # noqa: NPY002
        return {name: factor * value for name, value in grads(p).items()}

    with pytest.raises(raised):
        gp.check(interrupted, params, claim, method=method)
    assert calls[0] == call
    assert bits(params) == before
    assert rng.bit_generator.state == start
    assert np.random.get_state()[1].tobytes() == state  # type: ignore[index]  # noqa: NPY002


def test_read_only_parameters_are_fine() -> None:
    params = {name: value.copy() for name, value in PARAMS.items()}
    for value in params.values():
        value.flags.writeable = False
    assert gp.check(cost, params, grads).passed


def test_switched_off_nothing_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPROOF", "off")
    counted = Counted(cost)
    report = gp.check(counted, PARAMS, grads)
    assert (counted.calls, report.verdict, report.evaluations) == (0, "undecided", 0)
    assert any("GRADPROOF" in note for note in report.notes)
