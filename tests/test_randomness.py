"""Random state in reach of a cost: found wherever it is kept, frozen, and put back bit for bit."""

import contextlib
import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._adapters.randomness import Snapshot, Source, global_sources, sources
from gradproof._adapters.reach import LONGEST

Array = NDArray[np.float64]
SHARED = np.random.default_rng(11)
NESTED = {"layers": [{"generator": np.random.default_rng(12)}]}
W = np.random.default_rng(0).standard_normal((4, 3)) + 2.0


def names(thing: Any) -> list[str]:
    """Where the sources beyond the global ones were found."""
    return [source.name for source in sources([("cost", thing)])][2:]


def mask(generator: Any, shape: tuple[int, ...]) -> Array:
    return np.asarray(generator.random(shape) < 0.7) / 0.7


def in_a_closure() -> Callable[[Array], float]:
    inner = np.random.default_rng(1)
    return lambda w: float(np.sum((w * mask(inner, w.shape)) ** 2))


def in_globals(w: Array) -> float:
    return float(np.sum((w * mask(SHARED, w.shape)) ** 2))


def in_globals_of_a_comprehension(w: Array) -> float:
    return sum(float(np.sum((row * mask(SHARED, row.shape)) ** 2)) for row in w)


def in_a_nested_global(w: Array) -> float:
    return float(np.sum((w * mask(NESTED["layers"][0]["generator"], w.shape)) ** 2))


def in_a_default(w: Array, generator: np.random.Generator = np.random.default_rng(2)) -> float:  # noqa: B008
    return float(np.sum((w * mask(generator, w.shape)) ** 2))


def in_a_keyword_default(w: Array, *, generator: np.random.Generator = np.random.default_rng(3)) -> float:  # noqa: B008
    return float(np.sum((w * mask(generator, w.shape)) ** 2))


class Net:
    """Keeps a generator as an attribute."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def __call__(self, w: Array) -> float:
        return float(np.sum((w * mask(self.generator, w.shape)) ** 2))

    def cost(self, w: Array) -> float:
        return self(w)


class Heir(Net):
    """Inherits how it is called."""


class Slots:
    """Keeps a generator in a slot."""

    __slots__ = ("generator",)

    def __init__(self) -> None:
        self.generator = np.random.default_rng(4)

    def __call__(self, w: Array) -> float:
        return float(np.sum((w * mask(self.generator, w.shape)) ** 2))


class OfTheClass:
    """Keeps a generator with the class."""

    generator = np.random.default_rng(5)

    def cost(self, w: Array) -> float:
        return float(np.sum((w * mask(self.generator, w.shape)) ** 2))


def noisy(generator: np.random.Generator) -> Callable[[Callable[[Array], float]], Callable[[Array], float]]:
    def decorate(function: Callable[[Array], float]) -> Callable[[Array], float]:
        @functools.wraps(function)
        def wrapper(w: Array) -> float:
            return function(w * mask(generator, w.shape))

        return wrapper

    return decorate


def squares(w: Array) -> float:
    return float(np.sum(w**2))


def with_generator(generator: Any, w: Array) -> float:
    return float(np.sum((w * mask(generator, w.shape)) ** 2))


class Legacy:
    """Python's own generator in an attribute."""

    def __init__(self) -> None:
        self.generator = random.Random(6)

    def __call__(self, w: Array) -> float:
        kept = np.array([[self.generator.random() < 0.7 for _ in row] for row in w])
        return float(np.sum((w * kept) ** 2))


PLACES: dict[str, Callable[[Array], float]] = {
    "closure": in_a_closure(),
    "globals": in_globals,
    "comprehension": in_globals_of_a_comprehension,
    "nested global": in_a_nested_global,
    "default": in_a_default,
    "keyword default": in_a_keyword_default,
    "attribute": Net(7),
    "method": Net(8).cost,
    "inherited call": Heir(9),
    "slot": Slots(),
    "class": OfTheClass().cost,
    "decorator": noisy(np.random.default_rng(10))(squares),
    "partial": functools.partial(with_generator, np.random.default_rng(11)),
    "partial of a partial": functools.partial(functools.partial(with_generator), np.random.RandomState(12)),
    "Python's Random": Legacy(),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_source_is_found_and_frozen_and_put_back(place: str) -> None:
    cost = PLACES[place]
    found = names(cost)
    assert len(found) >= 1, place
    before = Snapshot.of(sources([("cost", cost)]))
    report = gp.check(cost, W, lambda w: 2.0 * w * _mask_of(cost, w))
    assert report.passed, (place, str(report))
    assert any("random numbers" in note and found[0] in note for note in report.notes)
    assert before.moved() == []
    cost(W)
    assert before.moved() != []  # what was found is what the cost draws from
    before.restore()
    assert before.moved() == []


def _mask_of(cost: Callable[[Array], float], w: Array) -> Array:
    """The derivative's own mask, drawn the way the cost draws it: d cost / d w^2, element by element."""
    snapshot = Snapshot.of(sources([("cost", cost)]))
    found = np.empty_like(w)
    for index in np.ndindex(w.shape):
        snapshot.restore()
        single = np.zeros_like(w)
        single[index] = 1.0
        found[index] = cost(single)
    return found


def test_the_global_states_are_always_watched() -> None:
    assert [source.name for source in sources([])] == ["NumPy's global random state", "Python's random module"]


@pytest.mark.parametrize("kind", ["numpy", "python"])
def test_global_state_is_frozen_and_put_back(kind: str) -> None:
    def draw(shape: tuple[int, ...]) -> Array:
        if kind == "numpy":
            return np.random.random(shape)  # noqa: NPY002
        return np.array([random.random() for _ in range(int(np.prod(shape)))]).reshape(shape)

    before = Snapshot.of(sources([]))
    report = gp.check(lambda w: float(np.sum(w**2 * draw(w.shape))), W, lambda w: 2.0 * w * draw(w.shape))
    assert report.passed
    assert before.moved() == []


def test_args_and_options_are_searched() -> None:
    generator = np.random.default_rng(20)

    def cost(w: Array, given: np.random.Generator, scale: float = 1.0) -> float:
        return scale * with_generator(given, w)

    def grads(w: Array, given: np.random.Generator, scale: float = 1.0) -> Array:
        return 2.0 * scale * w * mask(given, w.shape) ** 2

    before = generator.bit_generator.state
    report = gp.check(cost, W, grads, args=(generator,))
    assert report.passed
    assert any("args[0]" in note for note in report.notes)
    assert generator.bit_generator.state == before

    def keyword(w: Array, *, given: np.random.Generator) -> float:
        return with_generator(given, w)

    assert gp.check(keyword, W, lambda w, *, given: grads(w, given), options={"given": generator}).passed
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("call", [1, 2, 5, 14])
@pytest.mark.parametrize("vectorized", [False, True])
def test_state_is_put_back_whatever_the_cost_raises(raised: type[BaseException], call: int, vectorized: bool) -> None:
    generator = np.random.default_rng(21)
    calls = [0]

    def cost(w: Array) -> Any:
        calls[0] += 1
        factor = generator.random()
        np.random.random()  # noqa: NPY002
        random.random()
        if calls[0] == call:
            raise raised
        return factor * np.sum(w**2, axis=(-2, -1))

    before = Snapshot.of(sources([("cost", cost)]))
    bits = generator.bit_generator.state
    # A ValueError beside the point says only that the cost ends there.
    expected = contextlib.nullcontext() if raised is ValueError and call == 14 else pytest.raises(raised)
    with expected:
        gp.check(cost, W, lambda w: 2.0 * generator.random() * w, vectorized=vectorized)
    assert calls[0] >= call
    assert before.moved() == []
    assert generator.bit_generator.state == bits


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive"])
def test_a_claim_made_under_other_numbers_cannot_be_judged(method: str) -> None:
    generator = np.random.default_rng(22)
    report = gp.check(lambda w: with_generator(generator, w), W, 2.0 * W, method=method)
    assert report.verdict == "undecided"
    assert "other random numbers" in next(iter(report.tensors.values())).reason


def test_a_claim_of_the_wrong_form_is_wrong_whatever_was_drawn() -> None:
    generator = np.random.default_rng(23)
    report = gp.check(lambda w: with_generator(generator, w), W, np.full_like(W, np.nan))
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "contract"


def test_a_wrong_gradient_of_a_random_cost_is_wrong() -> None:
    generator = np.random.default_rng(24)
    report = gp.check(
        lambda w: with_generator(generator, w), W, lambda w: 3.0 * w * mask(generator, w.shape) ** 2, method="probe"
    )
    assert report.verdict == "wrong"


def test_every_evaluation_sees_the_same_numbers_and_they_are_those_of_the_user() -> None:
    generator = np.random.default_rng(25)
    first: list[float] = []

    def cost(w: Array) -> float:
        first.append(generator.random())
        return first[-1] * squares(w)

    gp.check(cost, W, lambda w: 2.0 * generator.random() * w)
    expected = np.random.default_rng(25).random()
    assert first[0] == expected
    assert set(first[5:]) == {expected}  # three draws to see that it is random, then frozen
    assert generator.random() == expected


def test_a_cost_that_draws_nothing_is_not_said_to() -> None:
    assert names(squares) == []
    assert gp.check(squares, W, lambda w: 2.0 * w).notes == ()


def test_the_search_ends_and_stays_shallow() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert names(circle) == []
    deep: Any = np.random.default_rng(0)
    for _ in range(11):
        deep = [deep]
    assert names(deep) == []
    assert len(names(deep[0][0][0][0][0])) == 1
    data = [np.random.default_rng(0)] * (LONGEST + 1)
    assert names(data) == []
    assert names(data[:LONGEST]) == ["cost[0]"]  # the same generator is listed once
    assert names({"rng": np.random.default_rng(0)}) == ["cost['rng']"]


def test_a_cell_that_is_not_filled_yet_is_passed_over() -> None:
    def cost(w: Array) -> float:
        return float(np.sum(w)) + (later if w.size > 100 else 0.0)

    assert names(cost) == []
    later = 1.0
    assert cost(W) == pytest.approx(float(np.sum(W)))


def test_a_snapshot_names_what_moved() -> None:
    state = {"a": 1, "b": 1}
    found = [Source(key, lambda key=key: state[key], lambda value, key=key: state.update({key: value})) for key in "ab"]  # type: ignore[misc]
    snapshot = Snapshot.of(found)
    state["b"] = 2
    assert snapshot.moved() == ["b"]
    snapshot.restore()
    assert state == {"a": 1, "b": 1}


def one_uniform() -> None:
    np.random.random()  # noqa: NPY002


def one_normal() -> None:
    np.random.standard_normal()  # noqa: NPY002


def another_seed() -> None:
    np.random.seed(8)  # noqa: NPY002


@pytest.mark.parametrize("held_back", [False, True])
@pytest.mark.parametrize("draw", [one_uniform, one_normal, another_seed])
def test_the_global_state_is_put_back_whatever_was_drawn(draw: Callable[[], None], held_back: bool) -> None:
    """The second of a pair of normal numbers moves nothing but the number that is held back."""
    np.random.seed(5)  # noqa: NPY002
    if held_back:
        one_normal()
    state: Any = np.random.get_state()  # noqa: NPY002
    taken = Snapshot.of(global_sources())
    draw()
    assert taken.moved() == ["NumPy's global random state"]
    taken.restore()
    found: Any = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(found[1], state[1])
    assert found[2:] == state[2:]
    assert not taken.moved()


@pytest.mark.filterwarnings("ignore:get_state and legacy can only be used")
def test_another_global_generator_is_put_back_as_well() -> None:
    own = np.random.get_bit_generator()  # type: ignore[attr-defined]
    try:
        np.random.set_bit_generator(np.random.PCG64(3))  # type: ignore[attr-defined]
        taken = Snapshot.of(global_sources())
        first = np.random.random()  # noqa: NPY002
        assert taken.moved()
        taken.restore()
        assert np.random.random() == first  # noqa: NPY002
    finally:
        np.random.set_bit_generator(own)  # type: ignore[attr-defined]


def test_what_did_not_move_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    np.random.seed(5)  # noqa: NPY002
    taken = Snapshot.of(global_sources())
    written: list[Any] = []
    monkeypatch.setattr(np.random, "set_state", written.append)
    taken.restore()
    assert not written
    one_uniform()
    taken.restore()
    assert len(written) == 1
