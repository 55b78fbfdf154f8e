"""Costs that jump, step or end near the point, each with the gradient that is right there and some that are not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Params = dict[str, Array]


@dataclass(frozen=True)
class Piece:
    """A cost with claims.

    Attributes:
        name: for messages.
        cost: the cost.
        params: the point.
        right: gradients that must never be called wrong: the derivative where there is one, else all that one may mean.
        wrong: gradients that must never be called correct.
        honest: whether nothing but a discontinuity would excuse an undecided, and there is none in reach.
    """

    name: str
    cost: Callable[[Params], float]
    params: Params
    right: tuple[Params, ...]
    wrong: tuple[Params, ...]
    honest: bool = False


def smooth(y: Array) -> float:
    return float(np.sum(y**2) + np.sum(np.sin(y)))


def slope(y: Array) -> Array:
    return 2.0 * y + np.cos(y)


def spoilt(g: Params, key: str = "y") -> tuple[Params, ...]:
    """Wrong wherever a derivative exists: too large, one element off, the negative."""
    bump = np.zeros_like(g[key])
    bump.flat[-1] = 0.1 + np.abs(g[key]).max()
    return {**g, key: 1.2 * g[key] + bump}, {**g, key: g[key] + bump}, {**g, key: -g[key] - bump}


def point(seed: int, size: int = 5) -> Array:
    return np.asarray(np.random.default_rng([seed, 77]).normal(size=size) + 0.3)


def total(digits: int, more: float = 0.0) -> Callable[[Params], float]:
    return lambda p: more + float(np.round(smooth(p["y"]), digits))


def elements(digits: int) -> Callable[[Params], float]:
    return lambda p: float(np.sum(np.round(p["y"], digits)))


def both(first: Callable[[Params], float], second: Callable[[Params], float]) -> Callable[[Params], float]:
    return lambda p: first(p) + second(p)


def single(p: Params) -> float:
    return smooth(p["y"].astype(np.float32))


def staircases(seed: int) -> Iterator[Piece]:
    """Costs rounded as a whole or inside: zero is the derivative, the slope of what was rounded is what is meant."""
    y = point(seed)
    zero, trend = {"y": 0.0 * y}, {"y": slope(y)}
    for digits in (0, 1, 2, 3, 4, 6, 8):
        yield Piece(f"rounded to {digits}", total(digits), {"y": y}, (zero, trend), ())
        yield Piece(
            f"rounded to {digits} beside 1000",
            total(digits, 1000.0), {"y": y}, (zero, trend), (),
        )  # fmt: skip
        rounded = both(lambda p: float(np.sum(p["W"] ** 2)), total(digits))
        W = point(seed + 1, 40)
        yield Piece(
            f"smooth W beside y rounded to {digits}", rounded, {"W": W, "y": y},
            ({"W": 2 * W, **zero}, {"W": 2 * W, **trend}), spoilt({"W": 2 * W, **zero}, "W"),
        )  # fmt: skip
        yield Piece(
            f"elements rounded to {digits}", elements(digits), {"y": y},
            (zero, {"y": 0 * y + 1}), (),
        )  # fmt: skip
        mixed = both(lambda p: smooth(p["y"]), elements(digits))
        yield Piece(f"smooth and rounded to {digits}", mixed, {"y": y}, (trend,), spoilt({"y": slope(y) + 1.0}))
    many = point(seed, 300)
    yield Piece(
        "integers",
        lambda p: float(np.sum(np.floor(3.3 * p["y"]))),
        {"y": many},
        ({"y": 0 * many}, {"y": 0 * many + 3.3}),
        (),
    )
    yield Piece("largest", lambda p: float(np.argmax(p["y"])), {"y": y}, ({"y": 0 * y},), ())
    yield Piece("count", lambda p: float(np.mean(p["y"] > 0.3)), {"y": many}, ({"y": 0 * many},), ())
    yield Piece("parameters in float32", single, {"y": y}, (trend,), ())
    yield Piece("result in float32", lambda p: float(np.float32(smooth(p["y"]))), {"y": y}, (trend,), ())
    yield Piece("float32 and a factor", lambda p: 1.1 * single(p) + 0.3, {"y": y}, ({"y": 1.1 * slope(y)},), ())


def jumping(shows: Callable[[Array, Array], Array], height: float, at: Array) -> Callable[[Params], float]:
    return lambda p: smooth(p["y"]) + height * float(np.sum(shows(p["y"][: len(at)], at)))


def ties(seed: int) -> Iterator[Piece]:
    """Elements exactly on a tie or comparison, one or several, among others that are not."""
    rng = np.random.default_rng([seed, 5])
    for count in (1, 2, 3):
        y = rng.normal(size=6)
        y[:count] = [0.35, 0.45, 1.25][:count]
        zero = {"y": 0 * y}
        for digits in (1, 2):
            y = y.copy()
            y[:count] = np.array([0.35, 0.45, 1.25])[:count] if digits == 1 else np.array([0.125, 0.375, 0.625])[:count]
            yield Piece(
                f"{count} ties of round {digits}",
                elements(digits),
                {"y": y},
                (zero,),
                (),
            )
        x = rng.normal(size=6)
        x[:count] = [1.0, 2.0, -1.0][:count]
        for height in (5.0, 1e-2, 1e-5):
            for name, shows in (("at", np.equal), ("from", np.greater_equal), ("above", np.greater)):
                cost = jumping(shows, height, x[:count].copy())
                yield Piece(
                    f"{count} jumps of {height} {name}", cost, {"y": x}, ({"y": slope(x)},), spoilt({"y": slope(x)})
                )
        z = rng.normal(size=6)
        z[:count] = [1.0, 2.0, -1.0][:count]
        yield Piece(f"{count} floors", lambda p: float(np.sum(np.floor(p["y"]))), {"y": z}, ({"y": 0 * z},), ())
        yield Piece(
            f"{count} floors and smooth", lambda p: smooth(p["y"]) + float(np.sum(np.floor(p["y"]))), {"y": z},
            ({"y": slope(z)},), spoilt({"y": slope(z)}),
        )  # fmt: skip
    for distance in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        for height in (1.0, 1e-3, 1e-6):
            y = rng.normal(size=6)
            cost = jumping(np.greater, height, y[:1] + distance)
            yield Piece(
                f"jump of {height} {distance} away", cost, {"y": y}, ({"y": slope(y)},), spoilt({"y": slope(y)})
            )


def ending(low: float, high: float, *, silent: bool) -> Callable[[Params], float]:
    def cost(p: Params) -> float:
        y = p["y"]
        if not ((y >= low) & (y <= high)).all():
            if silent:
                return float("nan")
            raise ValueError("outside")
        return smooth(y) + float(np.sum(p["W"] ** 2))

    return cost


def edges(seed: int) -> Iterator[Piece]:
    """Elements next to the edge of the domain, on either side or both."""
    rng = np.random.default_rng([seed, 6])
    W = rng.normal(size=12)
    for distance in (0.0, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 3e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        for name, where in (("below", (0,)), ("above", (1,)), ("both", (0, 1)), ("many", tuple(range(8)))):
            y = rng.uniform(0.1, 0.9, size=12 if name == "many" else 4)
            for i in where:
                y[i] = distance if i % 2 == 0 else 1.0 - distance
            right = {"W": 2 * W, "y": slope(y)}
            cost = ending(0.0, 1.0, silent=bool(len(where) % 2))
            yield Piece(
                f"edge {distance} {name}", cost, {"W": W, "y": y}, (right,), (*spoilt(right), *spoilt(right, "W")), True
            )
    for distance in (1e-10, 1e-8, 1e-6, 1e-4):
        y = rng.uniform(0.1, 0.9, size=300)
        y[::60] = distance
        right = {"W": 2 * W, "y": slope(y)}
        yield Piece(
            f"edge {distance} in 5 of 300",
            ending(0.0, 1.0, silent=True),
            {"W": W, "y": y},
            (right,),
            spoilt(right),
            # An element far smaller than the others has a bin and steps of its own, and rounding hides what they show.
            distance > 1e-7,
        )
        for name, f, g in (("log", np.log, np.reciprocal), ("root", np.sqrt, lambda x: 0.5 / np.sqrt(x))):
            x = np.array([distance, 0.5, 2.0, 1.0])

            def cost(p: Params, f: Any = f) -> float:
                with np.errstate(all="ignore"):
                    return float(np.sum(f(p["y"])))

            yield Piece(f"{name} {distance} from 0", cost, {"y": x}, ({"y": g(x)},), spoilt({"y": g(x)}), True)


def everything(seed: int) -> Iterator[Piece]:
    yield from staircases(seed)
    yield from ties(seed)
    yield from edges(seed)
