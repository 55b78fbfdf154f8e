from typing import Any

from slipped import check, named, nameless, rand, right

X, G = rand(1, 6, 4), rand(2, 4) + 2.0


def hat(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def gained(g: Any, x: Any = X) -> Any:
    return g * hat(x)


def test_another_array() -> None:
    def function(x: Any, g: Any) -> Any:
        return g * hat(x)

    def backward(v: Any, x: Any, g: Any) -> Any:
        d, h = v * g, hat(x)
        dx = (d - d.mean(-1, keepdims=True) - h * (d * h).mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
        return dx, (v * x).sum(0)

    named(check(function, backward, X, G), "wrong-cache", "inputs[1]", detail="inputs[0]")
    right(check(function, lambda v, x, g: (backward(v, x, g)[0], (v * hat(x)).sum(0)), X, G))


def test_near_misses() -> None:
    # An array that is not at hand is not named.
    nameless(check(gained, lambda v, g: ((v * rand(5, 6, 4)).sum(0),), G))
    # Twice the right array is a factor.
    assert check(gained, lambda v, g: ((2.0 * v * hat(X)).sum(0),), G).findings[0].cause == "factor"
