"""The commands of this project, the same for people and for machines: nox -s check, test, docs, bench."""

from pathlib import Path

import nox

nox.options.sessions = ["check", "test"]
nox.options.error_on_missing_interpreters = True


@nox.session
def check(session: nox.Session) -> None:
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("mypy", "conftest.py")  # on its own: two files called conftest are one module to mypy


@nox.session(python=["3.11", "3.12", "3.13"])
def test(session: nox.Session) -> None:
    # Not editable: what is tested is what gets installed, so a file missing from the wheel shows.
    session.install(".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html")
    session.run("pytest", "README.md", "docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    session.install("-e", ".[bench]")
    chosen = session.posargs or [path.stem for path in _benchmarks()]
    for name in chosen:
        session.run("python", f"benchmarks/{name}.py", "--short")


def _benchmarks() -> list[Path]:
    """The files that can be run; the others are what they share."""
    files = sorted(Path(__file__).with_name("benchmarks").glob("*.py"))
    return [path for path in files if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
