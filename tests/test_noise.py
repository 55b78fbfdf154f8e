"""The measurement of a cost's last digits: grids, noise levels, jumps and kinks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gradproof._numerics.noise import HALF, Pilot, pilot, quantum

EPSILON = 2.0**-52


def measured(psi: Callable[[float], float], *, claim: float = 0.0) -> dict[str, Any]:
    """The pilot along a line on which the cost is a function of the step."""

    def line(steps: Sequence[float]) -> tuple[list[float], list[float]]:
        raw = [float(psi(step)) for step in steps]
        return raw, [value - psi(0.0) - claim * step for value, step in zip(raw, steps, strict=True)]

    return pilot(line, np.float64(psi(0.0)), EPSILON)


@pytest.mark.parametrize(
    ("values", "grid"),
    [
        ([1.0, 3.0], 1.0),
        ([2.0, 6.0, 12.0], 2.0),
        ([0.75, 0.5], 0.25),
        ([-0.75, 0.0, math.nan, math.inf], 0.25),
        ([0.0, math.nan], 0.0),
        ([float(np.float32(0.1)), float(np.float32(0.3))], 2.0**-27),
        ([5e-324, 1.0], 5e-324),
        ([2.0**60], 2.0**60),
    ],
)
def test_quantum(values: list[float], grid: float) -> None:
    assert quantum(values) == grid


@pytest.mark.parametrize("sigma", [1e-12, 1e-6, 1e3])
def test_levels_of_white_noise_are_its_deviation(sigma: float) -> None:
    rng = np.random.default_rng(1)
    found = np.array([Pilot(z, z).level for z in (sigma * rng.normal(size=(2000, 2 * HALF + 1))).tolist()])
    assert np.sqrt(np.mean(found**2, axis=0)) == pytest.approx(np.full(2 * HALF, sigma), rel=0.1)


def test_levels_of_a_polynomial_vanish_above_its_degree() -> None:
    cubes = [float(t) ** 3 for t in range(-HALF, HALF + 1)]
    level = Pilot(cubes, cubes).level
    assert level[2] > 1.0
    assert max(level[3:]) < 1e-12


def test_levels_do_not_overflow() -> None:
    z = (1e200 * np.random.default_rng(2).normal(size=2 * HALF + 1)).tolist()
    assert all(1e198 < level < 1e201 for level in Pilot(z, z).level)


def test_smooth_cost_has_the_noise_of_its_format() -> None:
    found = measured(lambda t: math.exp(1.0 + t))
    assert 0.1 * EPSILON < found["sigma"] < 10.0 * EPSILON
    assert not any(found.get(sign) for sign in ("quantised", "constant", "jump", "steps_only", "narrowed"))


@pytest.mark.parametrize("sigma", [1e-10, 1e-7])
def test_random_noise_is_measured(sigma: float) -> None:
    rng = np.random.default_rng(3)
    noise = {0.0: 0.0}
    found = measured(lambda t: 2.0 + t + sigma * noise.setdefault(t, rng.normal()), claim=1.0)
    assert 0.3 * sigma < found["sigma"] < 3.0 * sigma


def test_float32_inside_is_a_grid() -> None:
    found = measured(lambda t: float(np.float32(math.exp(1.0 + t))))
    assert found["quantised"]
    assert 2.0**-25 < found["epsilon"] < 2.0**-22
    assert found["sigma"] >= 0.4 * 2.0**-22


def test_kink_at_the_point_is_no_noise() -> None:
    found = measured(lambda t: 1.0 + abs(t) + t)
    assert found["sigma"] < 1e-9


@pytest.mark.parametrize("height", [5.0, 1e-3, 1e-6])
@pytest.mark.parametrize("shape", [lambda t: t == 0.0, lambda t: t >= 0.0, lambda t: t > 0.0])
def test_jump_at_the_point_is_seen(height: float, shape: Callable[[float], bool]) -> None:
    found = measured(lambda t: math.exp(t) + height * shape(t))
    assert found["jump"]
    assert found["sigma"] < 1e-3 * height


def test_constant_near_by_is_not_widened_over_a_jump() -> None:
    found = measured(lambda t: 0.1 + math.floor(3.3 + t / 1e-4))
    assert found["constant"]
    assert found["ceiling"] < 0.7e-4


def test_domain_next_to_the_point() -> None:
    found = measured(lambda t: math.sqrt(1e-9 + t) if t >= -1e-9 else math.nan)
    assert found["narrowed"]
    assert not measured(lambda t: math.nan if t else 1.0)["finite"]
