"""The user's functions as they are called: what they are given, what they may return and do."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._adapters.numpy import Call, Session, open_session
from gradproof._adapters.user import argument_name, scalar, takes_parameters

Array = NDArray[np.float64]
Pair = namedtuple("Pair", "w b")


@dataclass
class Model:
    """Parameters as a dataclass."""

    w: Array
    b: float
    name: str = "model"


def session(params: Any, cost: Callable[..., Any] | None = None, grads: Any = None, **more: Any) -> Session:
    return open_session(Call(cost or (lambda p: 0.0), params, params if grads is None else grads, **more))


def given(params: Any, work: Any = None, **more: Any) -> Any:
    """What the cost is given."""
    seen: list[Any] = []

    def cost(p: Any) -> float:
        seen.append(p)
        return 0.0

    opened = session(params, cost, **more)
    opened.caller.evaluate(opened.theta.copy() if work is None else np.asarray(work))
    return seen[0]


# What the cost is given.


@pytest.mark.parametrize(
    "params",
    [
        {"w": np.ones((2, 3)), "b": 2.0},
        OrderedDict(w=np.ones(2), b=np.float32(2.0)),
        [np.ones(2), [np.ones((1, 1)), 3.0]],
        (np.ones(2), 1j),
        Pair(np.ones(2), np.zeros(1)),
        Model(np.ones(2), 1.0),
        np.ones((2, 2)),
        1.5,
        np.float64(1.5),
        2.0 + 1j,
        np.ones((), float),
        np.ones((2, 0, 3)),
    ],
)
def test_the_cost_is_given_the_same_nesting(params: Any) -> None:
    got = given(params)
    assert type(got) is type(params) or isinstance(params, np.generic)
    want, have = gp.to_vector(params), gp.to_vector(got)
    np.testing.assert_array_equal(have, want)


def test_arrays_are_given_in_double_precision_whatever_their_own() -> None:
    got = given({"a": np.ones(2, np.float16), "b": np.ones(2, np.float32), "c": np.ones(2, np.complex64)})
    assert [v.dtype.name for v in got.values()] == ["float64", "float64", "complex128"]


def test_integers_strings_and_objects_are_given_as_they_are() -> None:
    params = {"w": np.ones(2), "n": np.arange(3), "mode": "relu", "flag": True, "f": np.tanh}
    got = given(params, grads={"w": np.ones(2)})
    assert all(got[name] is params[name] for name in ("n", "mode", "flag", "f"))


def test_what_is_left_out_is_given_as_it_is_and_may_be_changed() -> None:
    params = {"w": np.ones(2), "frozen": np.array([5.0, 6.0])}
    got = given(params, exclude=["frozen"])
    np.testing.assert_array_equal(got["frozen"], params["frozen"])
    got["frozen"] += 1.0
    np.testing.assert_array_equal(params["frozen"], [5.0, 6.0])


def test_coordinates_reach_their_places() -> None:
    got = given({"w": np.zeros((2, 2)), "z": np.zeros(1, complex), "s": 0.0}, np.arange(7.0))
    np.testing.assert_array_equal(got["w"], [[0.0, 1.0], [2.0, 3.0]])
    assert got["z"] == [4.0 + 5.0j]
    assert got["s"] == 6.0
    assert type(got["s"]) is float


def test_extended_precision_reaches_the_cost() -> None:
    fine = np.arange(4, dtype=np.longdouble)
    got = given({"w": np.zeros(2), "z": np.zeros(1, complex)}, fine)
    assert got["w"].dtype == np.longdouble
    assert got["z"].dtype == np.clongdouble


def test_memory_order_is_kept() -> None:
    params = {"f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "c": np.arange(6.0).reshape(2, 3)}
    got = given(params)
    np.testing.assert_array_equal(got["f"], params["f"])
    assert got["f"].flags.f_contiguous
    assert got["c"].flags.c_contiguous


def test_args_data_and_options_are_passed_on() -> None:
    seen: list[Any] = []

    def cost(w: Array, *rest: Any, **options: Any) -> float:
        seen.append((rest, options))
        return float(w @ w)

    def grads(w: Array, *rest: Any, **options: Any) -> Array:
        assert (rest, options) == seen[-1]
        return 2.0 * w

    x, y = np.ones(2), np.zeros(2)
    assert gp.check(cost, np.ones(3), grads, args=("a", 1), data=(x, y), options={"lambd": 0.7}).passed
    (first, second, third, fourth), options = seen[0]
    assert (first, second, options) == ("a", 1, {"lambd": 0.7})
    assert third is x
    assert fourth is y
    assert gp.check(cost, np.ones(3), grads, data=x).passed
    assert seen[-1][0] == (x,)


# What the cost may return.


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (1.5, 1.5),
        (2, 2.0),
        (np.float32(1.5), 1.5),
        (np.float16(1.5), 1.5),
        (np.longdouble(1.5), 1.5),
        (np.int64(3), 3.0),
        (np.array(1.5), 1.5),
        (np.array([[1.5]]), 1.5),
        (np.array([2]), 2.0),
        ([1.5], 1.5),
    ],
)
def test_one_real_number_in_any_form(returned: Any, value: float) -> None:
    assert scalar(returned) == value


def test_the_precision_of_a_cost_is_kept() -> None:
    assert type(scalar(np.array(1.5, np.float32))) is np.float32
    assert type(scalar(np.longdouble(1.5))) is np.longdouble
    assert type(scalar(np.array([3]))) is float


@pytest.mark.parametrize(
    "returned",
    [None, "1.0", b"1", True, np.True_, 1j, np.complex128(1.0), np.array([1.0, 2.0]), np.array([]), [], (1.0, 2.0),
     np.array(True), np.array([1 + 0j]), np.array(["a"]), {"cost": 1.0}, {1.0}, object(), Decimal(1),
     [[1.0], [2.0, 3.0]]],
)  # fmt: skip
def test_anything_else_is_no_cost(returned: Any) -> None:
    assert scalar(returned) is None


@pytest.mark.parametrize(
    ("claim", "aux"), [(True, {}), (lambda w: 2.0 * w, {"has_aux": True})], ids=["grads=True", "has_aux"]
)
def test_a_cost_that_returns_a_pair(claim: Any, aux: dict[str, bool]) -> None:
    w = np.arange(1.0, 4.0)
    assert gp.check(lambda w: (float(w @ w), 2.0 * w), w, claim, **aux).passed  # type: ignore[arg-type]
    for returned in (1.0, (1.0,), (1.0, 2.0, 3.0), np.ones(2), None, "ab"):
        with pytest.raises(gp.InputError, match=r"what the cost returns should be a pair \(cost, \.\.\.\)"):
            gp.check(lambda w, returned=returned: returned, w, claim, **aux)  # type: ignore[arg-type]


@pytest.mark.parametrize("beside", [None, (), (None, 1), "no", 3.0, (np.nan, 1)])
def test_a_pair_that_falls_apart_beside_the_point_ends_the_domain_there(beside: Any) -> None:
    w = np.arange(1.0, 4.0)

    def cost(v: Array) -> Any:
        return beside if v[0] > w[0] else (float(v @ v), 2.0 * v)

    report = gp.check(cost, w, True)
    assert report.verdict != "wrong"
    assert any("edge of the cost's domain" in note for note in report.notes)


def test_beside_the_point_nothing_a_cost_does_gets_through() -> None:
    for does in (lambda: 1 / 0, lambda: None, lambda: "x", lambda: np.inf, lambda: np.ones(2)):
        opened = session(np.ones(2), lambda w, does=does: does())
        assert np.isnan(opened.caller.evaluate(opened.theta.copy()))
        assert np.isnan(opened.caller.evaluate_many(np.ones((3, 2)))).all()
    opened = session(np.ones(2), lambda w: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        opened.caller.evaluate(opened.theta.copy())


# How the cost is called.


def test_what_takes_parameters() -> None:
    assert takes_parameters(lambda p: p)
    assert takes_parameters(lambda *p: p)
    assert takes_parameters(lambda p, /: p)
    assert takes_parameters(np.sum)
    assert takes_parameters(max)
    assert takes_parameters(lambda p=None: p)
    assert not takes_parameters(lambda: 0.0)
    assert not takes_parameters(lambda *, scale=1.0: scale)
    assert not takes_parameters(partial(lambda p: p, 1.0))


def test_the_name_of_bare_parameters_is_that_of_the_argument() -> None:
    assert argument_name(lambda theta, x: 0.0) == "theta"
    assert argument_name(lambda: 0.0) is None
    assert argument_name(max) == "params"
    assert list(gp.check(lambda theta: float(theta @ theta), np.ones(3), lambda theta: 2.0 * theta).tensors) == [
        "theta"
    ]


# Live arrays.


class Net:
    """A network that keeps its arrays; cost and gradient take nothing."""

    def __init__(self, dtype: type = np.float64) -> None:
        rng = np.random.default_rng(3)
        self.W: Array = rng.standard_normal((3, 4)).astype(dtype)
        self.b: Array = np.array([-0.0, 2.0**-1074 if dtype is np.float64 else 1.0, 3.0], dtype)
        self.dW = np.zeros((3, 4))

    @property
    def params(self) -> dict[str, Array]:
        return {"W": self.W, "b": self.b}

    def cost(self) -> float:
        return float(np.sum(np.tanh(self.W) ** 2) + np.sum(np.cos(self.b + 1.0)))

    def grads(self) -> dict[str, Array]:
        tanh = np.tanh(self.W)
        return {"dW": 2.0 * tanh * (1.0 - tanh**2), "db": -np.sin(self.b + 1.0)}


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive", "classic"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_live_arrays_are_restored_bit_for_bit(method: str, dtype: type) -> None:
    net = Net(dtype)
    before = [net.W.tobytes(), net.b.tobytes()]
    for claim in (net.grads, lambda params: net.grads(), net.grads()):
        verdicts = []
        for seed in range(6):
            verdicts.append(gp.check(net.cost, net.params, claim, method=method, seed=seed).verdict)
            assert [net.W.tobytes(), net.b.tobytes()] == before
        assert "wrong" not in verdicts
        # Arrays that stay float32 round every displacement, which leaves about one seed in six undecided.
        most = 0 if method == "classic" else 4 if dtype is np.float32 else 6
        assert verdicts.count(gp.Verdict.CORRECT) >= most
        assert method != "classic" or set(verdicts) == {"undecided"}
    net.W.flags.writeable = net.b.flags.writeable = True


def test_live_views_and_strides() -> None:
    whole = np.random.default_rng(4).standard_normal((6, 8))
    before = whole.tobytes()
    view = whole[::2, 1::3]
    report = gp.check(lambda: float(np.sum(view**2)), view, lambda: 2.0 * view)
    assert report.passed
    assert whole.tobytes() == before


def test_a_wrong_gradient_of_live_arrays_is_found_and_the_arrays_restored() -> None:
    net = Net()
    before = net.W.tobytes()
    report = gp.check(net.cost, net.params, lambda: {"W": 2.0 * net.grads()["dW"], "b": net.grads()["db"]})
    assert [t.verdict for t in report.tensors.values()] == ["wrong", "correct"]
    assert net.W.tobytes() == before


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("call", [1, 3, 10, 30])
def test_live_arrays_are_restored_when_interrupted(raised: type[BaseException], call: int) -> None:
    net = Net()
    before, calls = [net.W.tobytes(), net.b.tobytes()], [0]

    def cost() -> float:
        calls[0] += 1
        if calls[0] == call:
            raise raised
        return net.cost()

    with pytest.raises(raised):
        gp.check(cost, net.params, net.grads)
    assert [net.W.tobytes(), net.b.tobytes()] == before


def test_a_live_cost_that_changes_its_arrays_is_refused_and_they_are_restored() -> None:
    net = Net()
    before = net.W.tobytes()

    def cost() -> float:
        net.W *= 0.5
        return net.cost()

    with pytest.raises(gp.InputError, match="W should be left as it was, but is changed in place by the cost"):
        gp.check(cost, net.params, net.grads)
    assert net.W.tobytes() == before

    def grads() -> dict[str, Array]:
        found = net.grads()
        net.b -= 0.1 * found["db"]
        return found

    with pytest.raises(gp.InputError, match="b should be left as it was, but is changed in place by the gradient"):
        gp.check(net.cost, net.params, grads)
    assert net.W.tobytes() == before


def test_live_claims_are_taken_as_they_were_passed_in() -> None:
    # The cost writes its gradient into the arrays that are the claim, as a forward and backward pass in one does.
    net = Net()

    def cost() -> float:
        net.dW[:] = net.grads()["dW"]
        return net.cost()

    cost()
    assert gp.check(cost, {"W": net.W}, {"dW": net.dW}).passed
    net.dW *= 2.0
    assert gp.check(cost, {"W": net.W}, {"dW": net.dW}, method="probe").verdict == "wrong"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"a": 1.5}, "a should be a writable array that the cost reads, but is a float"),
        ({"a": np.float64(1.5)}, "a should be a writable array"),
        ({"a": np.broadcast_to(1.0, (2, 2))}, "but is read-only"),
        ((lambda x: {"a": x, "b": x[1:]})(np.ones(3)), "a and b should be arrays of their own"),
    ],
)
def test_live_parameters_must_be_arrays_that_can_be_written(params: Any, said: str) -> None:
    calls: list[int] = []

    def cost() -> float:
        calls.append(0)
        return 0.0

    with pytest.raises(gp.InputError, match=said):
        gp.check(cost, params, params)
    assert calls == []


# Complex parameters.


def test_complex_gradients_follow_the_convention() -> None:
    z = np.array([1.0 + 2.0j, -0.5 + 0.3j, 0.0 + 1.0j])

    def cost(p: dict[str, Any]) -> float:
        return float(np.sum(np.abs(p["z"]) ** 4) + np.sum(p["z"].real))

    def grads(p: dict[str, Any]) -> dict[str, Any]:
        return {"z": 4.0 * np.abs(p["z"]) ** 2 * p["z"] + 1.0}

    for params in ({"z": z}, {"z": z.astype(np.complex64)}):
        assert gp.check(cost, params, grads).passed
        conjugated = gp.check(cost, params, lambda p: {"z": np.conj(grads(p)["z"])})
        assert conjugated.verdict == "wrong"
    report = gp.check(cost, {"z": z}, grads, method="exhaustive")
    assert report.passed
    assert report.tensors["z"].size == 3
    for row in report.worst(3):
        assert abs(row.claimed - complex(grads({"z": z})["z"][row.index])) < 1e-12
        assert abs(row.mismatch) <= row.error_bar


def test_a_complex_number_is_a_parameter_too() -> None:
    assert gp.check(lambda z: abs(z) ** 2, 1.0 + 2.0j, lambda z: 2.0 * z).passed
    assert gp.check(lambda z: abs(z) ** 2, 1.0 + 2.0j, lambda z: 2.0 * np.conj(z)).verdict == "wrong"


# Lower precision.


def test_a_claim_in_lower_precision_is_judged_in_its_own_and_in_double_precision() -> None:
    w = np.random.default_rng(5).standard_normal(20).astype(np.float32)

    def right(v: Array) -> Array:
        return 2.0 * v

    def bad_in_single(v: Array) -> Array:
        return (2.1 if v.dtype == np.float32 else 2.0) * v

    def bad_in_double(v: Array) -> Array:
        return (2.1 if v.dtype == np.float64 else 2.0) * v

    claims = (right, bad_in_single, bad_in_double)
    verdicts = [gp.check(lambda v: float(np.sum(v * v)), w, claim).verdict for claim in claims]
    assert verdicts == ["correct", "wrong", "wrong"]
    assert gp.check(lambda v: float(np.sum(v * v)), w, 2.0 * w).passed
    assert gp.check(lambda v: float(np.sum(v * v)), w, 2.1 * w).verdict == "wrong"
