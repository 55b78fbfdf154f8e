"""Cases on which gradient checkers are known to pass a wrong gradient or to fail a right one.

The decision it rests on: every checker with its own defaults on the same cost, n = 50 unless said; a case is won by
the right verdict, lost by the opposite one, and undecided is neither.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from peers import PEERS, Answer, Slope, Value
from problems import Array
from running import arguments, table, write

SIZE = 50
# Above this many parameters the checkers that go element by element are not run.
MOST = 10_000


@dataclass(frozen=True)
class Case:
    """A cost with a claimed gradient.

    Attributes:
        name: the row.
        right: whether the claimed gradient is right.
        value: the cost.
        x: the point.
        slope: the claimed gradient.
        undecidable: whether there is no derivative here, so that every answer but "wrong" wins.
    """

    name: str
    right: bool
    value: Value
    x: Array
    slope: Slope
    undecidable: bool = False


def logistic(rng: np.random.Generator, weight_decay: float) -> tuple[Value, Slope, Array]:
    """Logistic regression, the mean over 80 examples and an L2 term."""
    X, y = rng.standard_normal((80, SIZE)), np.sign(rng.standard_normal(80))

    def value(x: Array) -> float:
        out: float = np.log1p(np.exp(-y * (X @ x))).sum() / len(X) + weight_decay / 2 * (x @ x)
        return out

    def slope(x: Array) -> Array:
        out: Array = -X.T @ (y / (1 + np.exp(y * (X @ x)))) / len(X) + weight_decay * x
        return out

    return value, slope, 0.3 * rng.standard_normal(SIZE)


def factors(size: int, index: int, factor: float) -> Array:
    """Ones, and one other factor."""
    out = np.ones(size)
    out[index] = factor
    return out


def wrong_cases(rng: np.random.Generator) -> list[Case]:
    """Gradients that are wrong."""
    x = rng.standard_normal(SIZE)
    tiny: Value = lambda at: 1e-6 * np.sin(at).sum()  # noqa: E731
    cases = [
        Case("zero gradient, cost x 1e-6", False, tiny, x, lambda at: 0 * at),
        Case("factor 2, cost x 1e-6", False, tiny, x, lambda at: 2e-6 * np.cos(at)),
    ]
    for weight_decay in (1e-2, 1e-3, 1e-4, 1e-5):
        value, slope, point = logistic(rng, weight_decay)
        claim = without_decay(slope, weight_decay)
        cases.append(Case(f"logistic regression without its L2 term, {weight_decay:.0e}", False, value, point, claim))
    value, slope, point = logistic(rng, 1e-3)
    sines: Value = lambda at: np.sin(at).sum()  # noqa: E731
    cases += [
        Case("missing 1/m", False, value, point, lambda at: 80 * slope(at)),
        Case("1 of 50 elements off 0.1%", False, value, point, times(slope, factors(SIZE, 7, 1.001))),
        Case("all elements off 0.05%", False, value, point, times(slope, np.full(SIZE, 1.0005))),
    ]
    for size in (10, 1_000, 10_000, 100_000):
        wrong = times(np.cos, factors(size, 7, 2.0))
        cases.append(Case(f"one element x 2, n = {size:,}", False, sines, rng.standard_normal(size), wrong))
    return cases


def times(slope: Slope, factor: Array) -> Slope:
    """A gradient times a factor for each element."""
    return lambda at: factor * slope(at)


def without_decay(slope: Slope, weight_decay: float) -> Slope:
    """A gradient without its L2 term."""
    return lambda at: slope(at) - weight_decay * at


def right_cases(rng: np.random.Generator) -> list[Case]:
    """Gradients that are right, and one where no gradient exists."""
    value, slope, point = logistic(rng, 1e-3)
    x = rng.standard_normal(SIZE)
    near = x.copy()
    near[3] = 3e-7
    on = x.copy()
    on[3] = 0.0
    relu: Value = lambda at: np.maximum(at, 0).sum()  # noqa: E731
    step: Slope = lambda at: (at > 0).astype(at.dtype)  # noqa: E731
    dropped, dropped_slope = dropout()
    return [
        Case("logistic regression", True, value, point, slope),
        Case("x^2 at 1e9", True, lambda at: (at * at).sum(), 1e9 * x, lambda at: 2 * at),
        Case("x^2 + 1e8", True, lambda at: (at * at).sum() + 1e8, x, lambda at: 2 * at),
        Case("sin(1e4 x)", True, lambda at: np.sin(1e4 * at).sum(), x, lambda at: 1e4 * np.cos(1e4 * at)),
        Case("ReLU, one input at 3e-7", True, relu, near, step),
        Case("dropout drawn anew in each call", True, dropped, x, dropped_slope),
        Case("ReLU, one input at 0", True, relu, on, step, undecidable=True),
    ]


def dropout() -> tuple[Value, Slope]:
    """A cost that drops random elements, from NumPy's global state, and its gradient under the same draw."""

    def mask(size: int) -> Array:
        return (np.random.random(size) < 0.8) / 0.8  # noqa: NPY002

    def value(at: Array) -> float:
        out: float = (mask(at.size) * np.sin(at)).sum()
        return out

    def slope(at: Array) -> Array:
        out: Array = mask(at.size) * np.cos(at)
        return out

    return value, slope


def won(case: Case, answer: Answer) -> bool:
    """Whether an answer is the right one."""
    if case.undecidable:
        return answer.verdict != "wrong"
    return answer.verdict == ("correct" if case.right else "wrong")


def ask(checker: Callable[[Value, Array, Slope, int], Answer], case: Case, seed: int) -> Answer:
    """A checker's answer; what it raises is one too."""
    try:
        return checker(case.value, case.x, case.slope, seed)
    except Exception as error:
        return Answer("crash", says=f"{type(error).__name__}: {error}")


def cell(case: Case, answer: Answer | None) -> str:
    """An answer for the table; a lost case is marked."""
    if answer is None:
        return "-"
    number = "" if answer.shown is None else f" {answer.shown:.1e}"
    opposite = answer.verdict == ("wrong" if case.right else "correct") or answer.verdict == "crash"
    return f"{answer.verdict}{number}{' (!)' if opposite else ''}"


def want(case: Case) -> str:
    """What a checker should say."""
    return "not wrong" if case.undecidable else "correct" if case.right else "wrong"


def asked(seed: int, *, short: bool) -> list[tuple[Case, dict[str, Answer]]]:
    """Every case of a seed with every checker's answer."""
    rng = np.random.default_rng(seed)
    cases = [case for case in (*wrong_cases(rng), *right_cases(rng)) if not short or case.x.size <= 1_000]
    return [
        (
            case,
            {
                name: ask(checker, case, seed)
                for name, checker in PEERS.items()
                if case.x.size <= MOST or name in ("gradproof", "autograd check_grads")
            },
        )
        for case in cases
    ]


def tally(runs: Sequence[Sequence[tuple[Case, dict[str, Answer]]]]) -> dict[str, dict[str, object]]:
    """Case -> what it should be, its parameters, and how often each checker gave which verdict."""
    found: dict[str, dict[str, object]] = {}
    for together in zip(*runs, strict=True):
        case = together[0][0]
        verdicts = {name: Counter(given[name].verdict for _, given in together) for name in together[0][1]}
        found[case.name] = {"should be": want(case), "parameters": case.x.size, "verdicts": verdicts}
    return found


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on; the first is printed")
    settings = parser.parse_args()
    runs = [asked(settings.seed + number, short=settings.short) for number in range(settings.seeds)]
    headers = ["case", "should be", *PEERS, "gradproof says"]
    rows = [
        [case.name, want(case), *[cell(case, given.get(name)) for name in PEERS], given["gradproof"].says or "-"]
        for case, given in runs[0]
    ]
    every = [pair for run in runs for pair in run]
    score = []
    for name in PEERS:
        own = [(case, given[name]) for case, given in every if name in given]
        score.append(f"{sum(won(case, answer) for case, answer in own)} of {len(own)}")
    title = f"Blind spots, seed {settings.seed}; (!) is the opposite of the truth"
    table(title, headers, [*rows, [f"right verdicts, {len(runs)} seeds", "", *score, ""]])
    write(settings.json, "blind_spots", settings, tally(runs))
    return 0 if all(won(case, given["gradproof"]) for case, given in every) else 1


if __name__ == "__main__":
    raise SystemExit(main())
