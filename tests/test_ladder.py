"""Slopes of lines whose truth is known: smooth, kinked, jumping, noisy, on a grid."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from gradproof._numerics.ladder import HIGHEST, LOWEST, MAX_PAIRS, RATIO, Pair, Settings, Slope, ladder

EPSILON = 2.0**-52
Line = Callable[[float], float]
SMOOTH: dict[str, tuple[Line, float]] = {
    "linear": (lambda t: 3.0 * t, 3.0),
    "quadratic": (lambda t: 2.0 * t + 5.0 * t * t, 2.0),
    "cubic": (lambda t: t - 7.0 * t**3, 1.0),
    "exponential": (lambda t: math.expm1(10.0 * t), 10.0),
    "sine": (lambda t: math.sin(30.0 * t), 30.0),
    "tanh": (lambda t: math.tanh(t + 0.5) - math.tanh(0.5), 1.0 - math.tanh(0.5) ** 2),
    "flat": (lambda t: 0.0, 0.0),
    "even": (lambda t: 4.0 * t * t, 0.0),
}


def settings(sigma: float = EPSILON, *, step: float = 3.0 * EPSILON ** (1 / 3), **changes: object) -> Settings:
    return Settings(sigma, EPSILON, step, **changes)  # type: ignore[arg-type]


def climb(line: Line, used: Settings, target: float = 1e-9, size: float = 1.0) -> tuple[Slope, list[float]]:
    """The slope of a line and the steps that it took."""
    going = ladder(used, target)
    asked, taken = next(going), []
    while True:
        taken += asked
        try:
            asked = going.send([Pair(h, line(h), line(-h), size) for h in asked])
        except StopIteration as done:
            found: Slope = done.value
            return found, taken


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_lines(name: str) -> None:
    line, truth = SMOOTH[name]
    for target in (1e-4, 1e-9, 0.0):
        found, taken = climb(line, settings(), target)
        assert abs(found.value - truth) <= found.bar
        assert found.bar < 1e-6 * max(1.0, abs(truth))
        assert found.pairs == len(taken) <= MAX_PAIRS
        assert found.kink <= 1e-8 * max(1.0, abs(truth))  # third-order curvature at the largest step, no more
        assert found.jump == 0.0


def test_a_loose_target_takes_two_pairs_and_a_tight_one_more() -> None:
    line, _ = SMOOTH["sine"]
    assert climb(line, settings(), 1.0)[0].pairs == 2
    assert climb(line, settings(), 1e-10)[0].pairs > 2


def test_the_target_is_met_where_it_can_be() -> None:
    for name in ("linear", "cubic", "tanh"):
        assert climb(SMOOTH[name][0], settings(), 1e-8)[0].bar <= 1e-8


def test_rungs_are_neighbours_within_the_limits() -> None:
    used = settings()
    for line, _ in SMOOTH.values():
        _, taken = climb(line, used, 0.0)
        rungs = sorted(round(math.log(h / used.step, RATIO)) for h in taken)
        assert rungs == list(range(rungs[0], rungs[-1] + 1))
        assert rungs[0] >= LOWEST
        assert rungs[-1] <= HIGHEST


def test_the_ceiling_holds() -> None:
    used = settings(ceiling=1e-6)
    _, taken = climb(SMOOTH["sine"][0], used, 0.0)
    assert max(taken) <= 1e-6


def test_noise_is_covered_by_the_bar() -> None:
    rng = np.random.default_rng(1)
    missed, bars = 0, []
    for _ in range(400):
        found, _ = climb(lambda t: math.sin(t + 1.0) - math.sin(1.0) + 1e-10 * rng.standard_normal(), settings(1e-10))
        missed += abs(found.value - math.cos(1.0)) > found.bar
        bars.append(found.bar)
    assert missed <= 3
    # A bar that covers by being huge would be no use: the best central difference here is good to about 1e-7.
    assert np.median(bars) < 2e-6


def test_noise_drives_the_ladder_up() -> None:
    rng = np.random.default_rng(2)
    used = settings(1e-8)
    _, taken = climb(lambda t: t + 1e-8 * rng.standard_normal(), used, 0.0)
    assert max(taken) > used.step * RATIO


def rounds(line: Line, used: Settings, target: float) -> list[int]:
    """How many steps a ladder asks for in each round."""
    going = ladder(used, target)
    asked, found = next(going), []
    while True:
        found.append(len(asked))
        try:
            asked = going.send([Pair(h, line(h), line(-h), 1.0) for h in asked])
        except StopIteration:
            return found


def test_a_second_step_up_is_asked_for_at_once_where_one_is_known_to_be_too_few() -> None:
    used = settings(1e-12)
    noise = 6.0 * used.sigma / (math.sqrt(2.0) * used.step / RATIO)  # of the lower of the first two steps
    assert rounds(lambda t: 2.0 * t, used, 0.9 * noise / RATIO) == [2, 2]
    assert rounds(lambda t: 2.0 * t, used, 1.1 * noise / RATIO) == [2, 1]  # one is enough
    curved = 0.9 * noise / used.step**2  # seen beside the noise already, and sixteen times as much a step up
    assert rounds(lambda t: 2.0 * t + curved * t**3, used, 0.9 * noise / RATIO)[:2] == [2, 1]


@pytest.mark.parametrize("at", [1e-6, 1e-5, 1e-4])
def test_a_kink_beside_the_point_is_stepped_under(at: float) -> None:
    found, _ = climb(lambda t: 2.0 * t + 5.0 * max(0.0, t - at), settings(), 1e-6)
    assert abs(found.value - 2.0) <= found.bar
    assert found.step < at


def test_a_kink_at_the_point_is_seen_and_measured() -> None:
    # |t|: the central difference is 0, and either side's slope is 1 away from it.
    found, _ = climb(abs, settings(), 1e-9)
    assert found.kink == pytest.approx(1.0, rel=1e-6)
    assert found.bar >= 1.0
    tilted, _ = climb(lambda t: 3.0 * t + 0.5 * abs(t), settings(), 1e-9)
    assert tilted.kink == pytest.approx(0.5, rel=1e-6)
    assert tilted.bar >= 0.5


def test_curvature_is_no_kink() -> None:
    found, _ = climb(lambda t: 1e3 * t * t, settings(), 1e-9)
    assert found.kink == 0.0


def test_a_jump_at_the_point_is_seen() -> None:
    # psi is 0 at the point itself and 1 to either side.
    found, _ = climb(lambda t: 1.0 + 2.0 * t, settings(), 1e-9)
    assert found.jump == pytest.approx(2.0, rel=1e-3)
    assert climb(lambda t: 2.0 * t, settings(), 1e-9)[0].jump == 0.0


def test_a_jump_beside_the_point_is_stepped_under() -> None:
    found, _ = climb(lambda t: 2.0 * t + (1.0 if t > 3e-5 else 0.0), settings(), 1e-4)
    assert abs(found.value - 2.0) <= found.bar < 1.0


def test_a_grid_is_covered_by_the_bar() -> None:
    rng = np.random.default_rng(3)
    grid = 2.0**-24  # as a float32 inside a float64 cost
    missed = 0
    for _ in range(300):
        slope, bend, start = rng.uniform(-3.0, 3.0), rng.uniform(-2.0, 2.0), rng.uniform()

        def line(t: float, slope: float = slope, bend: float = bend, start: float = start) -> float:
            value = start + slope * t + bend * t * t
            return grid * round(value / grid) - start

        used = Settings(0.5 * grid, grid, 3.0 * grid ** (1 / 3), True)
        found, _ = climb(line, used, 1e-6)
        missed += abs(found.value - slope) > found.bar
        assert found.bar < 0.1
    assert missed == 0


def test_large_values_bring_their_own_rounding() -> None:
    small = climb(SMOOTH["linear"][0], settings(), 0.0, size=1.0)[0]
    large = climb(SMOOTH["linear"][0], settings(), 0.0, size=1e6)[0]
    assert large.bar > 1e3 * small.bar


def test_what_is_not_finite_is_stepped_under() -> None:
    found, taken = climb(lambda t: 2.0 * t if abs(t) < 1e-5 else math.nan, settings(), 1e-3)
    assert abs(found.value - 2.0) <= found.bar < 1e-3
    assert max(taken) > 1e-5


def test_where_nothing_is_finite_the_bar_is_infinite_and_the_value_unknown() -> None:
    found, taken = climb(lambda t: math.nan, settings(), 1e-3)
    assert math.isnan(found.value)
    assert found.bar == math.inf
    assert len(taken) == MAX_PAIRS


def test_rescaling_the_line_rescales_the_slope() -> None:
    line, _ = SMOOTH["exponential"]
    plain, _ = climb(line, settings(), 1e-9)
    scale = 2.0**20
    large, _ = climb(lambda t: scale * line(t), settings(EPSILON * scale), 1e-9 * scale, size=scale)
    assert large.value == pytest.approx(scale * plain.value, rel=1e-13)
    assert large.bar == pytest.approx(scale * plain.bar, rel=1e-9)
