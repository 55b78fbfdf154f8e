"""What the page of a report weighs, and how long a browser takes until its pictures are drawn.

The decision it rests on: the time is the browser's own, from the start of the navigation to the end of its load event;
the pictures are drawn by a script that runs before that event, so they are part of it.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from running import THREADS

os.environ.update(dict.fromkeys(THREADS, "1"))

from problems import Array, Problem, classifier, plant, residual_network
from running import arguments, table, write

import gradproof as gp
from gradproof._report.page import render

REPETITIONS = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
SMALL, LARGE = (20, 30, 5), (1000, 700, 400, 60, 3)


def unregularised(problem: Problem) -> Any:
    """The problem's gradient with a part of every weight matrix added to its derivative."""

    def grads(params: dict[str, Array]) -> dict[str, Array]:
        found = problem.grads(params)
        return {name: value + 0.003 * params[name] if value.ndim == 2 else value for name, value in found.items()}

    return grads


def reports(settings: argparse.Namespace) -> dict[str, dict[str, gp.Report]]:
    """What pages are made of: title to named reports."""
    how = {"examples": 64, "steps": 10}
    small = classifier(SMALL, "tanh", "random biases", settings.seed, how)
    off = unregularised(small)
    many = residual_network(200, settings.seed)
    planted = plant("bias x 1.001", many, settings.seed)
    found = {
        "785 parameters, right": {"": gp.check(small.cost, small.params, small.grads)},
        "785 parameters, wrong, every element": {"": gp.check(small.cost, small.params, off, method="exhaustive")},
        "200 tensors, one wrong": {"": gp.check(many.cost, many.params, planted.grads)},
        "four of 785 parameters": {
            f"stage {number}": gp.check(small.cost, small.params, off if number else small.grads, seed=number)
            for number in range(4)
        },
    }
    if not settings.short:
        large = classifier(LARGE, "tanh", "random biases", settings.seed, how)
        found["1M parameters, four tensors wrong"] = {"": gp.check(large.cost, large.params, unregularised(large))}
    return found


def load_seconds(browser: Any, path: Path) -> list[float]:
    """Seconds until the page is there with its pictures, in a fresh context each time."""
    taken = []
    for _ in range(REPETITIONS):
        context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
        page = context.new_page()
        page.goto(path.as_uri(), wait_until="load")
        page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
        taken.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1e3)
        context.close()
    return taken


def main() -> int:
    settings = arguments(__doc__.splitlines()[0]).parse_args()
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        print(f"none of {', '.join(BROWSERS)} is installed")
        return 2
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        for title, named in reports(settings).items():
            making = []
            for _ in range(REPETITIONS):
                start = time.perf_counter()
                page = render(named)
                making.append(time.perf_counter() - start)
            path = Path(folder) / "page.html"
            path.write_text(page, encoding="utf-8")
            rows[title] = {
                "kB": len(page.encode("utf-8")) / 1e3,
                "made in s": statistics.median(making),
                "loaded in s": statistics.median(load_seconds(browser, path)),
            }
        browser.close()
    titles = ("kB", "made in s", "loaded in s")
    table("pages", ("report", *titles), [(title, *(row[key] for key in titles)) for title, row in rows.items()])
    write(settings.json, "page_size", settings, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
