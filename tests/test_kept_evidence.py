"""What a report keeps of the measurements: the right numbers, bounded, and without another evaluation."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradproof as gp
from gradproof._numerics.ladder import Pair, Settings, Slope
from gradproof._pipeline.evidence import known, view
from gradproof._records import Direction, Elements, Part, Points, Source, Tensor
from gradproof._records.evidence import BLOCKS, SPREAD, WORST, highest
from gradproof._reference import KEPT, Traces

RNG = np.random.default_rng(5)


def tensor(shape: tuple[int, ...], *, complex_: bool = False) -> Tensor:
    size = math.prod(shape) * (2 if complex_ else 1)
    return Tensor("W", shape, size, 0, "complex128" if complex_ else "float64", complex_)


def all_of(shape: tuple[int, ...], wrong: dict[int, float], bar: float = 1e-9) -> Elements:
    """A tensor of standard normal derivatives, every one known; the wrong positions are off by so much."""
    claimed = RNG.standard_normal(math.prod(shape))
    reference = claimed + 1e-10 * RNG.standard_normal(claimed.size)
    for position, off in wrong.items():
        reference[position] = claimed[position] - off
    points = Points(np.arange(claimed.size), claimed, reference, np.full(claimed.size, bar))
    size = float(np.linalg.norm(claimed))
    return known(tensor(shape), 7, points, Source.MEASURED, tolerance=1e-5, norms=(size, size))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_block_keeps_its_highest_element(rows: int, columns: int, down: int, across: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    matrix[np.random.default_rng(seed).random(matrix.shape) < 0.3] = np.nan
    found = highest(matrix, down, across)
    assert found.shape[0] <= down
    assert found.shape[1] <= across
    high, wide = -(-rows // down), -(-columns // across)
    for (r, c), position in np.ndenumerate(found):
        block = matrix[r * high : (r + 1) * high, c * wide : (c + 1) * wide]
        if np.all(np.isnan(block)):
            assert position == -1
        else:
            assert matrix.reshape(-1)[position] == np.nanmax(block)


def test_no_mismatch_is_more_than_no_element() -> None:
    assert highest(np.array([[np.nan, -np.inf]]), 1, 1).tolist() == [[1]]
    assert highest(np.array([[np.nan, np.nan]]), 1, 1).tolist() == [[-1]]


def test_one_wrong_element_of_a_large_tensor_is_in_the_map_and_in_the_sample() -> None:
    wrong = 123 * 500 + 77
    found = all_of((300, 500), {wrong: 0.3})
    assert found.cells.positions.shape == (60, 63)
    assert found.sample.positions.size == WORST + SPREAD
    where = np.unravel_index(np.nanargmax(found.levels(found.cells)), found.cells.positions.shape)
    assert found.cells.positions[where] == wrong
    assert [int(block) for block in where] == [123 // 5, 77 // 8]
    assert found.sample.positions[0] == wrong
    level = found.levels(found.sample)
    assert np.sum(level > 0.0) == 1
    assert level[0] == pytest.approx(math.log10(0.3 / found.allowed))


def test_a_coarser_map_keeps_the_wrong_element() -> None:
    found = all_of((300, 500), {150_000 - 1: 0.3})
    coarse = found.coarser(8, 8)
    assert coarse.positions.shape == (8, 8)
    assert coarse.positions[-1, -1] == 150_000 - 1
    assert np.sum(found.levels(coarse) > 0.0) == 1


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((), 1, 1), ((5,), 1, 5), ((64,), 1, 64), ((65,), 5, 16), ((1000,), 32, 32), ((3, 4), 3, 4), ((2, 3, 4), 2, 12)],
)
def test_every_shape_is_shown_as_a_matrix(shape: tuple[int, ...], rows: int, columns: int) -> None:
    assert view(shape) == (rows, columns)
    found = all_of(shape, {math.prod(shape) - 1: 1.0})
    level = found.levels(found.cells)
    assert np.sum(level > 0.0) == 1
    assert found.cells.positions.reshape(-1)[np.nanargmax(level)] == math.prod(shape) - 1
    assert found.complete


def test_nothing_known_is_nothing_shown() -> None:
    nothing = np.zeros(0)
    points = Points(np.zeros(0, dtype=np.int64), nothing, nothing, nothing)
    found = known(tensor((3, 4)), 0, points, Source.SAMPLED, tolerance=1e-5, norms=(1.0, 1.0))
    assert np.all(found.cells.positions == -1)
    assert np.all(np.isnan(found.levels(found.cells)))
    assert found.sample.positions.size == 0


def test_what_is_within_its_error_bar_is_not_out_of_bounds() -> None:
    assert np.all(all_of((4, 5), {3: 1e-3}, bar=2e-3).levels(all_of((4, 5), {3: 1e-3}, bar=2e-3).cells) < 0.0)


def cubic(p: Any) -> float:
    return float(np.sum(np.asarray(p) ** 3))


def test_a_trace_holds_the_remainder_at_each_step() -> None:
    for claim in (12.0, 13.0):
        report = gp.check(cubic, np.array([2.0]), np.array([claim]), method="exhaustive")
        (name,) = report.tensors
        trace = next(trace for trace in report.evidence.traces[name] if trace.single)
        assert trace.tensors == (name,)
        assert list(trace.steps) == sorted(trace.steps)
        assert trace.step in trace.steps
        for step, plus, minus in zip(trace.steps, trace.plus, trace.minus, strict=True):
            moved = 2.0 * step  # steps are relative
            allowed = 1e-14 + 1e-12 * moved
            assert plus == pytest.approx(moved * (12.0 - claim) + 6.0 * moved**2 + moved**3, abs=allowed)
            assert minus == pytest.approx(-moved * (12.0 - claim) + 6.0 * moved**2 - moved**3, abs=allowed)
        assert trace.slope == pytest.approx(2.0 * claim)
        assert abs(trace.reference - 24.0) <= trace.bar
        assert trace.mismatches[trace.steps.index(trace.step)] == pytest.approx(2.0 * (claim - 12.0), abs=1e-6)


def slope(step: float) -> Slope:
    rungs = {0: Pair(step, 1e-3, 2e-3, 1.0), -1: Pair(step / 4.0, 1e-4, 2e-4, 1.0)}
    return Slope(0.5, 1e-9, step, 1e-10, 1e-10, 0.0, 0.0, 0.0, 0.0, 2, rungs)


def test_traces_are_bounded_and_know_every_pair_along_them() -> None:
    traces, settings = Traces(), Settings(1e-16, 1e-16, 1e-5)
    both = [Direction((seed,), (Part(0, 1.0), Part(1, 1.0))) for seed in range(100)]
    alone = Direction((9,), (Part(1, 1.0, bin=0), Part(1, 2.0, bin=1)))
    for direction in (*both, alone):
        traces.keep(direction, slope(1e-5), 1.0, settings)
    traces.add(alone, Pair(1e-7, 1e-9, 1e-9, 1.0))
    traces.add(Direction((10,), (Part(1, 1.0),)), Pair(1e-8, 0.0, 0.0, 1.0))
    lines = traces.named("ab")
    assert [trace.tensors for trace in lines[0, 1]] == [("a", "b")] * KEPT
    (only,) = lines[1,]
    assert only.tensors == ("b",)
    assert only.steps == (1e-7, 2.5e-6, 1e-5)
    assert not only.single
    assert set(lines) == {(0, 1), (1,)}


def network(claims: Callable[[Any], Any] | None = None) -> tuple[Callable[[Any], float], Any, Callable[[Any], Any]]:
    X, y = RNG.standard_normal((30, 6)), RNG.standard_normal((30, 3))
    params = {"W1": RNG.standard_normal((6, 8)), "b1": RNG.standard_normal(8), "W2": RNG.standard_normal((8, 3))}

    def cost(p: Any) -> float:
        return float(0.5 * np.mean((np.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] - y) ** 2))

    def grads(p: Any) -> Any:
        a = np.tanh(X @ p["W1"] + p["b1"])
        d = (a @ p["W2"] - y) / y.size
        dz = d @ p["W2"].T * (1.0 - a**2)
        found = {"W1": X.T @ dz, "b1": dz.sum(0), "W2": a.T @ d}
        return claims(found) if claims else found

    return cost, params, grads


def test_right_tensors_share_a_line_and_keep_no_elements() -> None:
    cost, params, grads = network()
    report = gp.check(cost, params, grads)
    assert report.passed
    assert {trace.tensors for lines in report.evidence.traces.values() for trace in lines} == {("W1", "b1", "W2")}
    assert set(report.evidence.traces) == set(params)
    assert report.evidence.elements == {}


def test_a_tensor_shows_the_lines_that_it_shares_least() -> None:
    cost, params, grads = network(lambda found: {**found, "W2": 2.0 * found["W2"]})
    report = gp.check(cost, params, grads)
    assert report.verdict == "wrong"
    assert {trace.tensors for trace in report.evidence.traces["W2"]} == {("W2",)}
    assert len(report.evidence.traces["W1"][0].tensors) < 3


@pytest.mark.parametrize("method", ["auto", "exhaustive", "classic"])
def test_a_wrong_element_is_found_in_the_evidence(method: str) -> None:
    def off(found: Any) -> Any:
        found["W2"][5, 1] *= 1.5
        return found

    cost, params, grads = network(off)
    report = gp.check(cost, params, grads, method=method)
    known = report.evidence.elements["W2"]
    assert known.complete == (method != "auto")
    level = known.levels(known.cells)
    assert np.argwhere(level > 0.0).tolist() == [[5, 1]]
    assert known.offset == 6 * 8 + 8
    assert set(report.evidence.elements) == ({"W2"} if method == "auto" else set(params))
    assert (report.evidence.traces == {}) == (method == "classic")


def test_elements_that_were_sampled_say_so() -> None:
    def off(found: Any) -> Any:
        found["W1"] = found["W1"] + 0.01 * np.cos(17.0 * np.arange(48.0).reshape(6, 8) ** 2)
        return found

    cost, params, grads = network(off)
    report = gp.check(cost, params, grads)
    known = report.evidence.elements["W1"]
    assert known.source is Source.SAMPLED
    assert 0 < known.measured < known.total
    assert np.sum(known.cells.positions >= 0) == known.measured


def test_elements_that_cannot_be_measured_are_not_shown_as_measured() -> None:
    params = np.linspace(0.5, 1.0, 6).reshape(2, 3)

    def cost(p: Any) -> float:
        return math.nan if p[1, 2] != params[1, 2] else float(np.sum(p**2))

    report = gp.check(cost, params, 2.0 * params, method="exhaustive")
    (known,) = report.evidence.elements.values()
    assert (known.measured, known.source) == (5, Source.SAMPLED)
    assert np.argwhere(known.cells.positions < 0).tolist() == [[1, 2]]
    assert not np.any(known.levels(known.cells) > 0.0)


def test_complex_elements_count_once() -> None:
    params = RNG.standard_normal(4) + 1j * RNG.standard_normal(4)
    claim = 2.0 * params
    claim[2] *= 1.01
    report = gp.check(lambda z: float(np.sum(np.abs(z) ** 2)), params, claim, method="exhaustive")
    (known,) = report.evidence.elements.values()
    assert (known.measured, known.total) == (4, 4)
    assert np.argwhere(known.levels(known.cells) > 0.0).tolist() == [[0, 2]]
    np.testing.assert_allclose(known.cells.reference[0], 2.0 * params, atol=1e-6)


def test_the_map_of_a_large_tensor_is_bounded() -> None:
    found = all_of((1000, 1000), {})
    kept = [found.cells.positions, found.cells.claimed, found.cells.reference, found.cells.bars]
    assert found.cells.positions.shape <= (BLOCKS, BLOCKS)
    assert sum(array.nbytes for array in kept) <= 4 * 8 * BLOCKS**2
    assert all(array.base is None for array in kept), "a view keeps the whole tensor alive"
    assert found.sample.positions.size == WORST + SPREAD


def test_machines_get_the_evidence_in_compact_form() -> None:
    cost, params, grads = network(lambda found: {**found, "b1": 2.0 * found["b1"]})
    report = gp.check(cost, params, grads, method="exhaustive")
    text = json.dumps(report.to_dict()["evidence"])
    kept = json.loads(text)
    assert len(text) < 4_000
    assert {tuple(trace["tensors"]) for trace in kept["traces"]} == {("W1",), ("b1",), ("W2",)}
    assert kept["elements"]["b1"] == {
        "source": "measured",
        "measured": 8,
        "total": 8,
        "allowed": pytest.approx(report.evidence.elements["b1"].allowed),
    }
