"""Where the parameters may go: bounds, and sets such as the positive or the symmetric arrays.

The decision behind it: a set that is flat (symmetric, a fixed sum) is kept by projecting what the functions are given
and what is claimed alike, so that every step is one within it. A set with edges is kept by not calling the functions
beyond them: that is met like a cost without a value there, by smaller steps and, at an edge, by steps to one side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import InputError
from gradproof._tree import Structure

DOING = "reading bounds and domains"
NAMES = ("positive", "simplex", "symmetric", "positive definite")
#: A coordinate nearer to a bound than this, relative to the size of its array, is taken to lie on it.
TOUCHING = 1e-4
#: What may be off where an array is to be symmetric, or to have a fixed sum: rounding.
ROUNDED = 1e-9


class OutsideError(ValueError):
    """A step left the domain; the functions were not called there."""


@dataclass(frozen=True)
class Domain:
    """Where one array may go.

    Attributes:
        low: smallest values, of the array's shape; None without.
        high: largest values.
        named: one of ``NAMES`` that needs more than bounds, or "".
        inside: the user's own predicate.
        total: what the elements of a point of the simplex add up to.
    """

    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    named: str = ""
    inside: Callable[[Any], Any] | None = None
    total: float = 1.0

    @property
    def bounded(self) -> bool:
        """Whether there are bounds."""
        return self.low is not None or self.high is not None

    def presented(self, value: Any) -> Any:
        """What the functions are given in the place of a value.

        Raises:
            OutsideError: it lies outside.
        """
        found = self.projected(value)
        if not self.contains(found):
            raise OutsideError("outside the domain")
        return found

    def projected(self, value: Any) -> Any:
        """The nearest value in the flat set; the value itself where there is none."""
        if self.named in ("symmetric", "positive definite"):
            return 0.5 * (value + np.swapaxes(value, -1, -2))
        if self.named == "simplex":
            return value - (np.sum(value) - self.total) / np.size(value)
        return value

    def claimed(self, value: NDArray[Any]) -> NDArray[Any]:
        """The part of a claimed gradient along the flat set."""
        if self.named == "simplex":
            return np.asarray(value - np.mean(value))
        return np.asarray(self.projected(value))

    def contains(self, value: Any) -> bool:
        """Whether a value lies within the bounds and the set."""
        array = np.asarray(value)
        if self.low is not None and np.any(array < self.low):
            return False
        if self.high is not None and np.any(array > self.high):
            return False
        if self.named == "positive definite" and float(np.min(np.linalg.eigvalsh(array.astype(np.float64)))) <= 0.0:
            return False
        return self.inside is None or bool(self.inside(value))

    def clipped(self, value: Any) -> Any:
        """The nearest value within the bounds."""
        return value if not self.bounded else np.clip(value, self.low, self.high)

    def touching(self, value: NDArray[Any]) -> NDArray[np.bool_]:
        """The elements that lie on a bound, or as good as."""
        near = np.zeros(np.shape(value), dtype=bool)
        finite = value[np.isfinite(value)]
        scale = float(np.sqrt(np.mean(finite**2))) if finite.size else 1.0
        for bound in (self.low, self.high):
            if bound is not None:
                near |= np.abs(value - bound) <= TOUCHING * (scale or 1.0)
        return near

    def further_in(self, value: NDArray[Any], share: float) -> NDArray[Any]:
        """A value away from its bounds by a share of its size, or of the room between them where that is less."""
        finite = value[np.isfinite(value)]
        size = share * ((float(np.sqrt(np.mean(finite**2))) if finite.size else 1.0) or 1.0)
        low = np.full(value.shape, -np.inf) if self.low is None else self.low
        high = np.full(value.shape, np.inf) if self.high is None else self.high
        room = np.minimum(size, 0.25 * (high - low))
        return np.asarray(np.clip(value, low + room, high - room))


Domains = tuple[Domain | None, ...]


def read_domains(bounds: Any, domain: Any, structure: Structure) -> Domains:
    """The domain of each leaf; an empty tuple where none has any.

    Args:
        bounds: a ``scipy.optimize.Bounds``, arrays (low, high), or a list of pairs, for one array; a mapping of names
            to such for several.
        domain: one of ``NAMES``, a predicate, or a mapping of names to such.
        structure: the leaves.

    Raises:
        InputError: they do not fit, or the point itself lies outside.
    """
    if bounds is None and domain is None:
        return ()
    by_bounds, by_domain = _by_name(bounds, structure, "bounds"), _by_name(domain, structure, "domain")
    found: list[Domain | None] = []
    for leaf in structure.leaves:
        name, value = leaf.name, np.asarray(leaf.value)
        if name not in by_bounds and name not in by_domain:
            found.append(None)
            continue
        if value.dtype.kind == "c":
            raise InputError.of(DOING, name, "real", "complex", "Leave it out of bounds= and domain=.")
        low, high = _pair(by_bounds[name], value.shape) if name in by_bounds else (None, None)
        found.append(_demanded(_domain(by_domain.get(name), low, high, value, name), value, name))
    return tuple(found)


def _by_name(given: Any, structure: Structure, what: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in structure.names]
        if unknown:
            raise InputError.of(DOING, f"the names in `{what}`", f"among {', '.join(structure.names)}",
                                ", ".join(map(str, unknown)), "Mend the names.")  # fmt: skip
        return given
    if len(structure.leaves) != 1:
        raise InputError.of(DOING, f"`{what}`", f"a mapping of names, as there are {len(structure.leaves)} arrays",
                            f"a {type(given).__name__}", f"Pass {what}={{{structure.names[0]!r}: ...}}.")  # fmt: skip
    return {structure.names[0]: given}


def _domain(
    given: Any, low: NDArray[Any] | None, high: NDArray[Any] | None, value: NDArray[Any], name: str
) -> Domain:  # fmt: skip
    if given is None:
        return Domain(low, high)
    if callable(given):
        return Domain(low, high, inside=given)
    if given not in NAMES:
        raise InputError.of(DOING, f"the domain of {name}", f"one of {', '.join(NAMES)}, or a predicate", repr(given),
                            "Choose one of them.")  # fmt: skip
    if given in ("positive", "simplex"):
        least = np.full(value.shape, np.nextafter(0.0, 1.0) if given == "positive" else 0.0)
        low = least if low is None else np.maximum(low, least)
    if given == "positive":
        return Domain(low, high)
    return Domain(low, high, given, total=float(np.sum(value)) if given == "simplex" else 1.0)


def _demanded(domain: Domain, value: NDArray[Any], name: str) -> Domain:
    """The domain, if the point itself lies in it."""
    if domain.named in ("symmetric", "positive definite") and (value.ndim < 2 or value.shape[-1] != value.shape[-2]):
        raise InputError.of(DOING, name, f"square, to be {domain.named}", f"of shape {value.shape}",
                            "Leave the domain out.")  # fmt: skip
    wide = value.astype(np.float64)
    flat = np.max(np.abs(domain.projected(wide) - wide), initial=0.0) <= ROUNDED * np.max(np.abs(wide), initial=0.0)
    whole = domain.named != "simplex" or abs(domain.total - 1.0) <= 1e-6
    if not (flat and whole and domain.contains(domain.projected(wide))):
        raise InputError.of(
            DOING, f"the given value of {name}", "within its bounds and domain", "outside",
            "Start from a point that is allowed.",
        )  # fmt: skip
    return domain


def _pair(bounds: Any, shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lower and upper bounds, each of the array's shape, infinite where there is none."""
    size = int(np.prod(shape))
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        low, high = bounds.lb, bounds.ub
    elif _pairs(bounds, size):
        low, high = [pair[0] for pair in bounds], [pair[1] for pair in bounds]
    elif isinstance(bounds, tuple | list) and len(bounds) == 2:
        low, high = bounds
    else:
        raise InputError.of(DOING, "`bounds`", "a scipy.optimize.Bounds, (low, high), or a list of pairs",
                            f"a {type(bounds).__name__}", "Pass one of them.")  # fmt: skip
    return _full(low, -np.inf, shape), _full(high, np.inf, shape)


def _pairs(bounds: Any, size: int) -> bool:
    """Whether bounds are a pair (low, high) for each element, as ``scipy.optimize.minimize`` takes them."""
    if not isinstance(bounds, tuple | list) or len(bounds) != size:
        return False
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in bounds):
        return False
    holes = any(number is None for pair in bounds for number in pair)
    if size == 2 and isinstance(bounds, tuple) and not holes:
        if all(isinstance(pair, list) for pair in bounds):
            return False  # as scipy.optimize.least_squares takes them
        raise InputError.of(DOING, "`bounds`", "either (low, high) or a list of pairs",
                            "two pairs for two elements, which may be read both ways",
                            "Pass a scipy.optimize.Bounds, or a list of pairs.")  # fmt: skip
    return True


def _full(bound: Any, missing: float, shape: tuple[int, ...]) -> NDArray[Any]:
    numbers = missing if bound is None else bound
    if isinstance(numbers, list | tuple):
        numbers = [missing if number is None else number for number in numbers]
    array = np.asarray(numbers, dtype=np.float64)
    if array.size == np.prod(shape) and array.shape != shape:
        array = array.reshape(shape)
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError as error:
        raise InputError.of(DOING, "a bound", f"a number or of shape {shape}", f"of shape {array.shape}",
                            "Give one number, or one for each element.") from error  # fmt: skip


@dataclass(frozen=True)
class Allowed:
    """What the user said of where the parameters may go, until the parameters are known."""

    bounds: Any = None
    domain: Any = field(default=None)

    def __call__(self, structure: Structure) -> Domains:
        """The domain of each leaf."""
        return read_domains(self.bounds, self.domain, structure)


def presented(domains: Domains, values: Sequence[Any]) -> list[Any]:
    """What the functions are given in the place of some leaves.

    Raises:
        OutsideError: one lies outside its domain.
    """
    if not domains:
        return list(values)
    return [v if d is None else d.presented(v) for d, v in zip(domains, values, strict=True)]
