"""Reports that pages are made of in the tests, and a browser to look at them with."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._records import Component, Components, Difference, Finding, Place, Power, Report, TensorReport, Verdict

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
#: The elements of W1 that are off in ``wrong``.
OFF = [(3, 4), (3, 5), (3, 6), (3, 7)]

#: Names that would do something if they were not shown as they are.
HOSTILE = [
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "' onmouseover='window.pwned = 1",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "\u202egnp.exe\u202c",
    "a\x00b\x1b[31m\nc",
    "\ud800",
    "\ue000",
    "n" * 10_000,
    "",
    "权重",
    "${window.pwned = 1}",
    "\u2028\u2029",
]


def network(*, planted: bool) -> tuple[Any, Any, Any]:
    """A small tanh network: cost, parameters, gradient, with four elements of W1 30% too large where asked for."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((64, 20)), rng.standard_normal((64, 5))
    params = {
        "W1": rng.standard_normal((20, 30)) * 0.3,
        "b1": rng.standard_normal(30) * 0.1,
        "W2": rng.standard_normal((30, 5)) * 0.3,
        "b2": rng.standard_normal(5) * 0.1,
    }

    def cost(p: Any) -> float:
        return float(0.5 * np.mean((np.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"] - y) ** 2))

    def grads(p: Any) -> Any:
        a = np.tanh(X @ p["W1"] + p["b1"])
        d = (a @ p["W2"] + p["b2"] - y) / y.size
        dz = d @ p["W2"].T * (1.0 - a**2)
        found = {"W1": X.T @ dz, "b1": dz.sum(0), "W2": a.T @ d, "b2": d.sum(0)}
        for index in OFF if planted else ():
            found["W1"][index] *= 1.3
        return found

    return cost, params, grads


def wrong(method: str = "exhaustive") -> Report:
    """Four elements of W1 are 30% too large."""
    return gp.check(*network(planted=True), method=method)


def right() -> Report:
    """Nothing is wrong."""
    return gp.check(*network(planted=False))


def hostile() -> Report:
    """A report in which every string that a user may bring along is hostile."""
    tensors, findings, rows = {}, [], []
    for number, name in enumerate(HOSTILE):
        verdict = (Verdict.WRONG, Verdict.UNDECIDED, Verdict.CORRECT)[number % 3]
        difference = Difference(0.1, 0.09, 0.11) if verdict is Verdict.WRONG else Difference(1e-8, 0.0, 6e-8)
        tensors[name] = TensorReport(name, (2, 3), verdict, difference, name, 1e-5, 6)
        place = Place(f"all of {name}", {name: np.ones((2, 3), dtype=bool)})
        findings.append(Finding("factor", "error", (name,), place, name, name, name, (2.0, 1e-9), (name,), 1e-8))
        rows.append(Component(name, (1, 2), number, 1.0, 0.5, 1e-9))
    return Report(
        Verdict.WRONG,
        Difference(0.1, 0.09, 0.11),
        tensors,
        tuple(findings),
        Components(tuple(rows), len(rows), len(rows)),
        71,
        0.01,
        tuple(HOSTILE),
        "auto",
        0,
        "float64",
        278,
        {name: Power(6e-8, 1e-6) for name in HOSTILE},
    )


@contextmanager
def chromium() -> Iterator[Any]:
    """A real browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, **settings: Any) -> Iterator[Any]:
    """A page in a browser without a network; whatever goes wrong in it or leaves it fails the test."""
    context = browser.new_context(offline=True, **settings)
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    page.on("request", lambda request: trouble.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    yield page
    context.close()
    assert trouble == [], trouble
