"""The pages on the causes: one for each, all built alike, with examples that run, in a form that people can read."""

import io
import re
from pathlib import Path

import pytest

from causes_index import INDEX, PAGES, index
from gradproof import _causes
from gradproof._cli.causes import causes
from gradproof._cli.main import main
from gradproof._errors import InputError

SLUGS = (
    "accumulated",
    "activation-derivative",
    "aliasing",
    "bias-reduction",
    "clipped",
    "configuration",
    "conjugate",
    "contract",
    "cotangent",
    "double-backward",
    "dropout",
    "early-update",
    "factor",
    "layout",
    "missing-path",
    "nondeterministic",
    "not-reentrant",
    "other-loss",
    "overflow",
    "overwritten",
    "parametrisation",
    "permuted",
    "precision",
    "region",
    "regulariser",
    "sign",
    "singular",
    "stabiliser",
    "stale",
    "swapped",
    "tie",
    "transposed",
    "truncated",
    "unbroadcast",
    "unexplained",
    "upstream",
    "wrong-cache",
    "zero",
)
HEADINGS = ["## In a report", "## Wrong beside right", "## Easily confused with"]
#: Columns left for code in a terminal of 80.
COLUMNS = 78


def test_every_cause_has_a_page() -> None:
    assert _causes.slugs() == SLUGS


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_is_built_like_the_others(slug: str) -> None:
    page = _causes.page(slug)
    assert page.text.splitlines()[0] == f"# {slug}"
    assert [line for line in page.text.splitlines() if line.startswith("## ")] == HEADINGS
    assert page.text.count("```") == 2
    assert page.summary.endswith(".")
    assert len(page.summary) < 130
    assert page.text.isascii()
    assert max(map(len, page.example.splitlines())) <= COLUMNS
    assert "# wrong" in page.example
    assert "# right" in page.example


@pytest.mark.parametrize("slug", SLUGS)
def test_what_is_named_in_a_page_exists(slug: str) -> None:
    _, _, confused = _causes.page(slug).text.partition(HEADINGS[-1])
    named = {name for line in re.findall(r"^- (`.*?):", confused, re.MULTILINE) for name in re.findall("`(.*?)`", line)}
    assert named, "nothing to tell it from"
    assert named <= set(SLUGS) - {slug}


@pytest.mark.parametrize("slug", SLUGS)
def test_the_example_runs(slug: str) -> None:
    page = _causes.page(slug)
    above = page.text[: page.text.index(page.example)].count("\n")
    path = Path(_causes.__file__).with_name(f"{slug}.md")
    names: dict[str, object] = {"__name__": "example"}
    exec(compile("\n" * above + page.example, str(path), "exec"), names)
    assert "report" in names
    assert f'assert report.findings[0].cause == "{slug}"' in page.example


def test_the_index_in_the_documentation_is_up_to_date() -> None:
    assert INDEX.read_text(encoding="utf-8") == index(), "run python tests/causes_index.py"
    assert all((INDEX.parent / PAGES / f"{slug}.md").is_file() for slug in SLUGS)


def test_the_list_has_one_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["causes"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines if line and not line.startswith(" ")][:-1] == list(SLUGS)
    assert max(map(len, lines)) <= 80
    assert not shown.err


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_on_the_screen(slug: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["causes", slug]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == slug
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in shown.out
    assert "`" not in shown.out
    assert not shown.err
    code = [f"  {line}".rstrip() for line in _causes.page(slug).example.splitlines()]
    assert "\n".join(code) in shown.out, "code stays as it is written"


def test_colours_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        causes("factor", stream)
    assert "\x1b[" in terminal.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue()).split() == pipe.getvalue().split()


def test_nothing_is_cut_off_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    for slug in SLUGS:
        terminal, pipe = Terminal(), io.StringIO()
        for stream in (terminal, pipe):
            causes(slug, stream)
        assert max(map(len, terminal.getvalue().splitlines())) <= 60
        assert "".join(terminal.getvalue().split()) == "".join(pipe.getvalue().split())


@pytest.mark.parametrize(
    ("asked", "nearest"), [("regularizer", "regulariser"), ("Wrong_Cache", "wrong-cache"), ("trasnposed", "transposed")]
)
def test_an_unknown_cause_is_bad_usage(asked: str, nearest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["causes", asked]) == 2
    shown = capsys.readouterr()
    said = " ".join(shown.err.split())
    assert f"its name should be one that gradproof knows, but is '{asked}'" in said
    assert f"Did you mean {nearest}?" in said
    assert not shown.out


@pytest.mark.parametrize("asked", ["", "xyzzy", "__init__"])
def test_a_name_like_no_other(asked: str) -> None:
    with pytest.raises(InputError, match="Run `gradproof causes` for the list") as caught:
        _causes.page(asked)
    assert "Did you mean" not in str(caught.value)
