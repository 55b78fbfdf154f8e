"""How every benchmark starts, spreads its work over processes, and shows its results.

Work runs in fresh processes that are started with one BLAS thread each: on a busy machine two threads of a small matrix
product wait for each other, and times would then measure the scheduler.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="a run of well under a minute, with few repetitions")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other problems (default 0)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    return parser


def each(task: Callable[[Item], Result], items: Sequence[Item], workers: int = 2) -> Iterator[Result]:
    """Does a task for each item in fresh processes with one BLAS thread, in order.

    Args:
        task: a function of a module, so that the processes can import it.
        items: what to do it with.
        workers: number of processes.

    Yields:
        The results, in the order of the items.
    """
    os.environ.update(dict.fromkeys(THREADS, "1"))
    context = multiprocessing.get_context("spawn")
    chunk = max(1, min(16, len(items) // (8 * workers)))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for done, result in enumerate(pool.map(task, items, chunksize=chunk), start=1):
            if sys.stderr.isatty():
                print(f"\r{done}/{len(items)}", end="" if done < len(items) else "\r", file=sys.stderr)
            yield result


def shown(value: object) -> str:
    """A cell as text: numbers with three figures, None and NaN as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if not isinstance(value, float) or value == 0 or not math.isfinite(value):
        return str(value)
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a plain table, the first column to the left and the others to the right."""
    cells = [list(headers), *[[shown(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        line = [
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(line).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def write(path: Path | None, benchmark: str, settings: argparse.Namespace, results: dict[str, Any]) -> None:
    """Writes the results as JSON where a file was asked for."""
    if path is None:
        return
    import numpy as np

    content = {
        "benchmark": benchmark,
        "settings": {name: value for name, value in vars(settings).items() if name != "json"},
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()},
        "results": results,
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
