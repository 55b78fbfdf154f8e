"""How often the place of a planted error is found, how exactly, and at what price.

The decision it rests on: the error is added to a right gradient on a known mask, so that every answer is held against
the truth element by element: exactly right, too large, or too small. A place that is too small is the worst, as it
sends people elsewhere.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from error_bars import point
from problems import Array, Params, Problem, classifier, convolution
from running import arguments, each, table, write

from gradproof._localisation.search import Whereabouts, find
from gradproof._verdict.judge import default_scales

#: The tensors that errors are planted in: (sizes of a network or shape of its kernels, tensor, share of repetitions).
TENSORS: Mapping[str, tuple[tuple[int, ...], str, float]] = {
    "16 x 16": ((16, 16, 16, 6), "W2", 1.0),
    "48 x 20": ((48, 20, 12, 4), "W1", 0.5),
    "8 x 4 x 3 x 3": ((8, 4, 3, 3), "K", 0.5),
    "vector of 40": ((20, 40, 6), "b1", 0.5),
    "784 x 100": ((784, 100, 30, 10), "W1", 0.2),
}
SETTINGS = (("tanh", 0.5), ("relu", 0.5), ("tanh", 0.01), ("relu", 0.01))
FULL, SHORT = 40, 4
STRIDE = 100_000

Draw = Callable[[tuple[int, ...], np.random.Generator], Array]


def boxed(*axes: Callable[[int, np.random.Generator], slice]) -> Draw:
    """A pattern from one slice an axis; axes that are not named are taken whole."""

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        mask = np.zeros(shape, dtype=bool)
        mask[tuple(axis(length, rng) for axis, length in zip(axes, shape, strict=False))] = True
        return mask

    return draw


def one(length: int, rng: np.random.Generator) -> slice:
    """One line."""
    first = int(rng.integers(length))
    return slice(first, first + 1)


def run(count: int) -> Callable[[int, np.random.Generator], slice]:
    """Neighbouring lines, fewer than there are."""

    def draw(length: int, rng: np.random.Generator) -> slice:
        lines = min(count, max(1, length - 1))
        first = int(rng.integers(length - lines + 1))
        return slice(first, first + lines)

    return draw


def whole(length: int, rng: np.random.Generator) -> slice:
    """All lines."""
    return slice(0, length)


def first(count: int) -> Callable[[int, np.random.Generator], slice]:
    """The first few lines."""
    return lambda length, rng: slice(0, count)


def last(count: int) -> Callable[[int, np.random.Generator], slice]:
    """The last few lines."""
    return lambda length, rng: slice(length - count, length)


def half(length: int, rng: np.random.Generator) -> slice:
    """Half of the lines, from anywhere."""
    start = int(rng.integers(length - length // 2 + 1))
    return slice(start, start + length // 2)


def second(length: int, rng: np.random.Generator) -> slice:
    """Every second line."""
    return slice(int(rng.integers(2)), length, 2)


def by_index(rule: Callable[[Array, Array], Array]) -> Draw:
    """A pattern of a matrix from its indices."""

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        i, j = np.indices(shape)
        mask: Array = rule(i, j)
        return mask

    return draw


def random_lines(count: int) -> Draw:
    """Some rows at random."""

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        mask = np.zeros(shape, dtype=bool)
        mask[rng.choice(shape[0], count, replace=False)] = True
        return mask

    return draw


def random_elements(count: float) -> Draw:
    """Some elements at random: so many, or so large a share of all."""

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        size = int(np.prod(shape))
        mask = np.zeros(size, dtype=bool)
        mask[rng.choice(size, int(count if count >= 1 else count * size), replace=False)] = True
        return mask.reshape(shape)

    return draw


MATRIX: Mapping[str, Draw] = {
    "one element": boxed(one, one),
    "one row": boxed(one),
    "one column": boxed(whole, one),
    "half a row": boxed(one, half),
    "2 rows": boxed(run(2)),
    "last 3 rows": boxed(last(3)),
    "first 3 columns": boxed(whole, first(3)),
    "tile 4 x 4": boxed(run(4), run(4)),
    "all": boxed(),
    "every 2nd row": boxed(second),
    "every 2nd column": boxed(whole, second),
    "diagonal": by_index(lambda i, j: i == j),
    "upper triangle": by_index(lambda i, j: i < j),
    "off-diagonal": by_index(lambda i, j: i != j),
    "checkerboard": by_index(lambda i, j: (i + j) % 2 == 0),
    "3 elements": random_elements(3),
    "4 random rows": random_lines(4),
    "random 30%": random_elements(0.3),
}
KERNEL: Mapping[str, Draw] = {
    "one element": boxed(one, one, one, one),
    "one filter": boxed(one),
    "one channel": boxed(whole, one),
    "one tap": boxed(whole, whole, one, one),
    "2 filters": boxed(run(2)),
    "tile": boxed(run(3), run(2), run(2), run(2)),
    "all": boxed(),
    "every 2nd filter": boxed(second),
    "3 elements": random_elements(3),
    "random 30%": random_elements(0.3),
}
VECTOR: Mapping[str, Draw] = {
    "one element": boxed(one),
    "a run": boxed(half),
    "all": boxed(),
    "every 2nd": boxed(second),
    "3 elements": random_elements(3),
    "random 30%": random_elements(0.3),
}


@dataclass(frozen=True)
class Item:
    """One planted error.

    Attributes:
        tensor: key of ``TENSORS``.
        pattern: key of the patterns for its number of axes.
        activation: of the network.
        size: norm of the error over that of the right gradient.
        seed: draws the network, the place and the error.
    """

    tensor: str
    pattern: str
    activation: str
    size: float
    seed: int

    @property
    def family(self) -> str:
        """The row of the table that it counts in."""
        return f"{self.pattern} | {self.tensor}"


@dataclass(frozen=True)
class Answer:
    """What was found, beside the truth.

    Attributes:
        exact: the mask is the truth, and says so.
        holds: the mask holds all of the truth.
        boast: the mask is called exact and is not.
        share_held: the true share lies in the interval, None where none was given.
        evaluations: cost evaluations used.
        text: the place as it is written.
    """

    exact: bool
    holds: bool
    boast: bool
    share_held: bool | None
    evaluations: int
    text: str


def patterns(tensor: str) -> Mapping[str, Draw]:
    """The patterns that are planted in a tensor."""
    sizes, name, _ = TENSORS[tensor]
    if name == "K":
        return KERNEL
    if name.startswith("b"):
        return VECTOR
    square = sizes[int(name[1:]) - 1] == sizes[int(name[1:])]
    return {k: v for k, v in MATRIX.items() if square or k not in ("diagonal", "upper triangle", "off-diagonal")}


def network(item: Item) -> Problem:
    """The network that an error is planted in."""
    sizes, name, _ = TENSORS[item.tensor]
    if name == "K":
        return convolution((sizes[0], sizes[1], sizes[2], sizes[3]), item.activation, item.seed)
    return classifier(sizes, item.activation, "random biases", item.seed)


def located(problem: Problem, name: str, error: Array, seed: int) -> Whereabouts:
    """Adds an error to one tensor of a right gradient and looks for it."""

    def grads(params: Params) -> Params:
        right = problem.grads(params)
        return right | {name: right[name] + error}

    place = point(problem, grads, seed)
    tensor = list(problem.params).index(name)
    stats = [c.stats for c in place.claimed]
    return find(place.reference, tensor, default_scales(stats)[tensor], stats[tensor].claim, seed)


def answer(item: Item) -> Answer:
    """Plants one error and looks for it."""
    problem, name = network(item), TENSORS[item.tensor][1]
    rng = np.random.default_rng([item.seed, 1])
    right = problem.grads(problem.params)[name]
    mask = patterns(item.tensor)[item.pattern](right.shape, rng)
    error = np.where(mask, rng.standard_normal(right.shape), 0.0)
    error *= item.size * np.linalg.norm(right) / np.linalg.norm(error)
    found = located(problem, name, error, item.seed)
    equal = bool(np.array_equal(found.mask, mask))
    true = float(mask[found.mask].mean())
    held = None if found.share is None else found.share[0] <= true <= found.share[1]
    holds = bool(found.mask[mask].all())
    return Answer(equal and found.exact, holds, found.exact and not equal, held, found.evaluations, found.text)


def items(repetitions: int, seed: int, only: str) -> list[Item]:
    """All errors of a run, each with its own seed."""
    out = []
    for number, (tensor, (_, _, part)) in enumerate(TENSORS.items()):
        for place, pattern in enumerate(patterns(tensor)):
            for k in range(max(1, round(repetitions * part))):
                activation, size = SETTINGS[k % len(SETTINGS)]
                first_seed = (((seed + 1) * len(TENSORS) + number) * 32 + place) * STRIDE
                item = Item(tensor, pattern, activation, size, first_seed + k)
                out += [item] if only in item.family else []
    return out


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    settings: argparse.Namespace = parser.parse_args()
    work = items(SHORT if settings.short else FULL, settings.seed, settings.only)
    rows: dict[str, list[Answer]] = {}
    notable = []
    start = time.perf_counter()
    for item, found in zip(work, each(answer, work, settings.workers), strict=True):
        rows.setdefault(item.family, []).append(found)
        if found.boast or not found.holds or not (found.exact or "random" in item.pattern):
            kind = "too small" if not found.holds else "boast" if found.boast else "inexact"
            notable.append(f"{kind.ljust(9)} {item}: {found.text}")
    show(rows)
    answers = [found for row in rows.values() for found in row]
    small, boasts = sum(not a.holds for a in answers), sum(a.boast for a in answers)
    took = time.perf_counter() - start
    print(f"\n{len(answers)} places: {small} too small, {boasts} called exact though they are not, {took:.0f} s")
    for line in notable:
        print(line)
    results = {name: [vars_of(a) for a in row] for name, row in rows.items()}
    write(settings.json, "places", settings, results)
    return 1 if small else 0


def vars_of(found: Answer) -> dict[str, object]:
    """An answer for machines."""
    return {name: getattr(found, name) for name in Answer.__dataclass_fields__}


def show(rows: Mapping[str, list[Answer]]) -> None:
    """Prints one line for each pattern and tensor."""
    cells = []
    for name, row in rows.items():
        shares = [a.share_held for a in row if a.share_held is not None]
        cells.append(
            [
                name,
                len(row),
                f"{100 * sum(a.exact for a in row) / len(row):.0f}%",
                f"{100 * sum(a.holds for a in row) / len(row):.0f}%",
                sum(a.boast for a in row),
                f"{sum(shares)}/{len(shares)}" if shares else "-",
                round(statistics.mean(a.evaluations for a in row)),
                max(a.evaluations for a in row),
            ]
        )
    headers = ["place", "runs", "exact", "holds it", "boasts", "share held", "evaluations", "most"]
    table("Where planted errors are found", headers, cells)


if __name__ == "__main__":
    raise SystemExit(main())
