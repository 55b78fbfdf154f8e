"""Derivatives that others wrote: SciPy's, scikit-learn's, statsmodels', JAX's and TensorFlow's, as they are installed.

The decision it rests on: every pair is taken as its package documents it, nothing is tuned to it, and what is wrong
is named with its evidence, to be looked up by hand; docs/found-in-the-wild.md has what came of that.
"""

import importlib
import traceback
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from running import arguments, each, table, write
from wild import Pair

GROUPS = {
    "SciPy, special functions": "wild.scipy_special",
    "SciPy and NumPy, the rest": "wild.scipy_other",
    "scikit-learn": "wild.sklearn_pairs",
    "statsmodels": "wild.statsmodels_pairs",
    "JAX, functions": "wild.jax_functions",
    "JAX, linear algebra": "wild.jax_algebra",
    "TensorFlow": "wild.tensorflow_functions",
}


@dataclass(frozen=True)
class Result:
    """What was said of one pair."""

    group: str
    name: str
    verdict: str
    evaluations: int
    low: float
    high: float
    words: str


@cache
def pairs_of(group: str) -> list[Pair]:
    """The pairs of a group; none where its package is not installed."""
    try:
        module = importlib.import_module(GROUPS[group])
    except ModuleNotFoundError as error:
        print(f"left out: {group} ({error})")
        return []
    found: list[Pair] = module.pairs()
    return found


def judged(item: tuple[str, int, int]) -> Result:
    """Judges one pair."""
    group, index, seed = item
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        pair = pairs_of(group)[index]
        try:
            report = pair.check(seed)
        except Exception as error:  # a pair that this version of its package does not have, or a defect of ours
            words = "".join(traceback.format_exception_only(error)).strip()
            return Result(group, pair.name, "raised", 0, 0.0, 1.0, words[:300])
    said = [f.message for f in report.findings] or [t.reason for t in report.tensors.values() if t.reason]
    difference = report.difference
    words = said[0] if said and report.verdict != "correct" else ""
    return Result(group, pair.name, str(report.verdict), report.evaluations, difference.low, difference.high, words)


def main() -> None:
    """Judges all pairs."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--group", action="append", choices=GROUPS, help="only this group (may be repeated)")
    options = parser.parse_args()
    groups = options.group or list(GROUPS)
    items: list[tuple[str, int, int]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group in groups:
            count = len(pairs_of(group))
            chosen = range(0, count, 6) if options.short else range(count)
            items += [(group, index, options.seed) for index in chosen]
    results = list(each(judged, items, options.workers))
    rows: list[list[Any]] = []
    for group in groups:
        own = [r for r in results if r.group == group]
        verdicts = Counter(r.verdict for r in own)
        middle = float(np.median([r.evaluations for r in own])) if own else 0.0
        rows.append([group, len(own), *(verdicts[v] for v in ("correct", "wrong", "undecided", "raised")), middle])
    table("Pairs by verdict", ["pairs", "number", "correct", "wrong", "undecided", "raised", "evaluations"], rows)
    for result in results:
        if result.verdict != "correct":
            print(f"{result.verdict:9} {result.name}: difference {result.low:.1e} to {result.high:.1e}. {result.words}")
    write(options.json, "found_in_the_wild", options, {"pairs": [asdict(result) for result in results]})


if __name__ == "__main__":
    main()
