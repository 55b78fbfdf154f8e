"""The report as text, as one line and for machines, from records made by hand."""

import ast
import io
import json
import math

import numpy as np
import pytest

from gradproof._errors import GradientError, UndecidedWarning
from gradproof._records import Component, Components, Difference, Finding, Place, Power, Report, TensorReport, Verdict
from gradproof._report import text, wording

CORRECT = Difference(1e-8, 0.0, 6.2e-8)
TWICE = Difference(1 / 3, 1 / 3 - 1e-9, 1 / 3 + 1e-9)
UNKNOWN = Difference(0.3, math.nan, math.nan)
HOSTILE = [
    "[bold]x[/]",
    "a\nb\r\nc",
    "\x1b[31mred\x1b[0m",
    "n" * 10_000,
    "\u202egnp",
    ":smile:",
    "权重" * 30,
    "",
    " ",
    "\ue000",
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def tensor(
    name: str, verdict: Verdict = Verdict.CORRECT, difference: Difference = CORRECT, reason: str = ""
) -> TensorReport:
    return TensorReport(name, (6, 9), verdict, difference, reason, 1e-5, 54)


def finding(name: str = "W2", **changes: object) -> Finding:
    whole = Place(f"all of {name}", {name: np.ones((6, 9), dtype=bool)}, exact=True)
    given: dict[str, object] = {
        "cause": "factor",
        "severity": "error",
        "tensors": (name,),
        "where": whole,
        "message": f"The gradient of {name} is 2.000000 times too large",
        "fix": "divide dW2 by 2",
        "factor": (2.0, 3e-9),
        "also": ("accumulated",),
        "repaired": 4.07e-8,
    }
    return Finding(**(given | changes))  # type: ignore[arg-type]


def report(*tensors: TensorReport, **changes: object) -> Report:
    verdicts = {one.verdict for one in tensors}
    given: dict[str, object] = {
        "verdict": next((v for v in (Verdict.WRONG, Verdict.UNDECIDED) if v in verdicts), Verdict.CORRECT),
        "difference": CORRECT,
        "tensors": {one.name: one for one in tensors},
        "findings": (),
        "components": Components(),
        "evaluations": 71,
        "seconds": 0.009,
        "notes": (),
        "method": "auto",
        "seed": 0,
        "precision": "float64",
        "classic_evaluations": 278,
    }
    return Report(**(given | changes))  # type: ignore[arg-type]


def wrong(**changes: object) -> Report:
    rows = (Component("W2", (4, 7), 103, 0.18231512, 0.09115756, 2e-11),)
    given: dict[str, object] = {
        "findings": (finding(),),
        "difference": TWICE,
        "components": Components(rows, 54, 54),
        "power": {"W2": Power(6.2e-8, 1e-6)},
    }
    names = ("W1", "b1", "b2", "W3", "b3")
    return report(tensor("W2", Verdict.WRONG, TWICE), *map(tensor, names), **(given | changes))


def flat(one: Report) -> str:
    return " ".join(str(one).split())


def test_wrong_says_what_where_how_and_the_proof() -> None:
    shown = str(wrong())
    assert shown.startswith("gradproof: WRONG. The gradient of W2 is 2.000000 times too large.")
    lines = [line.strip() for line in shown.splitlines()]
    assert "Cause  factor, fitted 2.000000 ± 3e-09" in lines
    assert "Where  all of W2 (54 elements)" in lines
    assert "Fix    divide dW2 by 2." in lines
    assert "Proof  with this fix the difference falls from 3.3e-01 to at most 4.1e-08." in lines
    assert "Also   would look exactly the same from here: accumulated." in lines
    assert "W2      6 x 9  WRONG    3.3333333e-01 ± 1e-09" in lines
    assert "W1      6 x 9  correct  below 6.2e-08" in lines
    assert "5 of 6 tensors are correct." in flat(wrong())


def test_rows_that_do_not_exist_are_not_shown() -> None:
    bare = finding(fix="", factor=None, also=(), repaired=None, cause="unexplained")
    lines = [line.strip() for line in str(wrong(findings=(bare,), components=Components(), power={})).splitlines()]
    assert "Cause  unexplained" in lines
    starts = ("Fix", "Proof", "Also", "Worst", "Note", "Would")
    assert not [line for line in lines if line.startswith(starts)]


def test_a_place_that_is_a_superset_says_at_most() -> None:
    place = Place("rows 2: of W2", {"W2": np.arange(54).reshape(6, 9) >= 18}, exact=False)
    assert "rows 2: of W2 (at most 36 elements)" in flat(wrong(findings=(finding(where=place),)))


def test_warnings_are_not_the_headline() -> None:
    warned = flat(report(tensor("W1"), findings=(finding(cause="layout", severity="warning", message="b1 is flat."),)))
    assert warned.startswith("gradproof: CORRECT. No tensor's gradient is off by more than 6.2e-08")
    assert "Warning layout" in warned
    assert "b1 is flat." in warned


def test_correct_counts_what_the_bound_stands_on() -> None:
    shown = flat(report(tensor("W1"), tensor("b1")))
    assert "No tensor's gradient is off by more than 6.2e-08 (2 tensors, 108 parameters, 71 evaluations)." in shown


def test_a_correct_zero_does_not_spoil_the_bound() -> None:
    zero = tensor("b1", difference=Difference(0.0, 0.0, 1.0), reason="zero to the cost's rounding")
    shown = flat(report(tensor("W1"), zero))
    assert "off by more than 6.2e-08" in shown
    assert "1 tensor is zero as far as the cost can tell" in shown
    assert "zero as far as the cost can tell" in flat(report(zero))


def test_undecided_gives_the_reason() -> None:
    shown = flat(report(tensor("W1", Verdict.UNDECIDED, Difference(0.1, 0.0, 0.5), "kinks lie near"), tensor("b1")))
    assert shown.startswith(
        "gradproof: UNDECIDED. W1 cannot be judged: kinks lie near. Nothing was proven wrong. 1 of 2"
    )


def test_no_tensor_at_all_is_said() -> None:
    assert "There was no tensor to check." in str(report())


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (CORRECT, "below 6.2e-08"),
        (Difference(0.0, 0.0, 6.21e-8), "below 6.3e-08"),
        (Difference(0.4, 0.12, 0.8), "between 1.2e-01 and 8.0e-01"),
        (Difference(0.4, 0.129, 0.801), "between 1.2e-01 and 8.1e-01"),
        (TWICE, "3.3333333e-01 ± 1e-09"),
        (Difference(0.0, 0.0, 0.0), "0"),
        (Difference(0.5, 0.0, 1.0), "unknown"),
        (UNKNOWN, "3.00e-01"),
        (Difference(math.nan, math.nan, math.nan), "unknown"),
    ],
)
def test_a_difference_never_says_more_than_is_known(interval: Difference, expected: str) -> None:
    assert wording.spaced(wording.difference(interval)) == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (CORRECT, "good"),
        (Difference(1e-5, 9e-6, 1.1e-5), "suspicious"),
        (TWICE, "a bug"),
        (Difference(1e-6, 0.0, 1e-2), "between good and a bug"),
        (UNKNOWN, "a bug"),
        (Difference(1e-7, math.nan, math.nan), "suspicious"),
        (Difference(math.nan, math.nan, math.nan), "unknown"),
    ],
)
def test_the_course_notes_scale(interval: Difference, expected: str) -> None:
    assert wording.band(interval) == expected
    shown = flat(report(tensor("W1"), difference=interval))
    assert f": {expected} (below 1e-7 good, above 1e-3 a bug, between suspicious)." in shown


def test_classic_shows_the_number_and_its_band() -> None:
    reason = "the classic method knows no error bar"
    shown = flat(report(tensor("W1", Verdict.UNDECIDED, UNKNOWN, reason), difference=UNKNOWN, method="classic"))
    assert "Course notes' scale 3.00e-01: a bug" in shown
    assert "Method classic." in shown
    assert reason in shown


def test_the_cost_line() -> None:
    assert "71 cost evaluations (the course notes' loop: 278), 9 ms. Seed 0." in flat(wrong())
    assert "1 cost evaluation (" in flat(wrong(evaluations=1))


def test_worst_components_say_whether_they_are_all() -> None:
    rows = tuple(Component("W2", (0, i), i, 2.0 - i / 100, 1.0, 1e-9) for i in range(30))
    everything = str(wrong(components=Components(rows, 54, 54)))
    assert "Worst components (all of 54 measured)" in everything
    assert everything.count("W2[0, ") == 10
    assert "(of a sample of 30 out of 54)" in str(wrong(components=Components(rows, 30, 54)))


def test_components_show_their_digits_and_bars() -> None:
    rows = (
        Component("W2", (4, 7), 103, 0.18231512, 0.09115756, 2e-11),
        Component("c", (), 0, 1 + 2j, complex(np.complex64(1 - 1j)), math.nan),
        Component("b", (3,), 9, math.nan, 1.0, math.inf),
    )
    lines = [" ".join(line.split()) for line in str(wrong(components=Components(rows, 3, 3))).splitlines()]
    assert "W2[4, 7] #103 0.18231512 0.091157560 ± 2e-11" in lines
    assert "c #0 1.0000000+2.0000000j 1.0000000-1.0000000j" in lines
    assert "b[3] #9 nan 1.0000000" in lines


def test_at_most_twenty_tensors_wrong_ones_first() -> None:
    many = [tensor(f"W{i:03}") for i in range(200)]
    many[150] = tensor("W150", Verdict.WRONG, TWICE)
    many[160] = tensor("W160", Verdict.UNDECIDED, UNKNOWN, "noise")
    lines = [line.strip() for line in str(report(*many)).splitlines()]
    head = next(i for i, line in enumerate(lines) if line.startswith("tensor"))
    assert lines[head + 1].startswith("W150")
    assert lines[head + 2].startswith("W160")
    assert sum(line.startswith("W") and "6 x 9" in line for line in lines) == 20
    assert "180 more tensors: 180 correct." in lines


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_not_obeyed(name: str) -> None:
    reason = f"because of {name}"
    hostile = report(
        tensor(name, Verdict.WRONG, TWICE, reason),
        findings=(finding(name, message=f"{name} is wrong", where=Place(f"all of {name}", {}), also=(name,)),),
        components=Components((Component(name, (1,), 1, 1.0, 2.0, 0.1),), 1, 1),
        notes=(f"note on {name}",),
    )
    shown = str(hostile)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\r" not in shown
    assert max(wide(line) for line in shown.splitlines()) <= text.LONGEST
    assert len(shown.splitlines()) < 120
    assert "\n" not in repr(hostile)
    assert repr(hostile).isprintable()
    assert len(repr(hostile)) < 200
    assert json.loads(json.dumps(hostile.to_dict(), allow_nan=False))["tensors"].keys() == {name}
    if name.startswith(("[", ":")):
        assert name in shown


def wide(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def test_names_are_whole_in_strings_and_pipes_and_folded_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    name = "encoder.layers.11.self_attention.output_projection.parametrizations.weight.original0"
    rows = (Component(name, (1, 2), 1, 1.0, 2.0, 0.1),)
    place = Place(f"all of {name}", {})
    long = report(
        tensor(name, Verdict.WRONG, TWICE),
        tensor("W1", Verdict.UNDECIDED, Difference(0.4, 0.12, 0.8), "noise"),
        findings=(finding(name, where=place),),
        components=Components(rows, 1, 1),
    )
    pipe, terminal = io.StringIO(), Terminal()
    text.write(long, pipe)
    text.write(long, terminal)
    rows_shown = [line.strip().split("  ")[:2] for line in pipe.getvalue().splitlines()]
    assert [name, "6 x 9"] in rows_shown
    assert [f"{name}[1, 2]", "#1"] in [[cell.strip() for cell in row] for row in rows_shown]
    assert pipe.getvalue() == str(long) + "\n"
    assert max(wide(line) for line in terminal.getvalue().splitlines()) <= 80
    assert name not in terminal.getvalue()


def test_the_reasons_go_below_where_the_table_has_no_room() -> None:
    reason = "the interval does not shrink below the cost's own rounding"
    long = tensor("layers.0.attention.query.weight", Verdict.UNDECIDED, Difference(0.4, 0.1, 0.8), reason)
    lines = [line.strip() for line in str(report(long)).splitlines()]
    assert any(line.split() == ["tensor", "reason"] for line in lines)
    assert max(map(len, lines)) <= 80
    short = tensor("W1", Verdict.UNDECIDED, Difference(0.4, 0.1, 0.8), "noise")
    assert any(
        line.split() == ["tensor", "shape", "verdict", "difference", "reason"]
        for line in str(report(short)).splitlines()
    )


def test_one_line_names_cause_and_place() -> None:
    assert repr(wrong()) == "<Report WRONG W2: factor 2.000000 in all of W2; 5/6 tensors correct; 71 evaluations>"
    plain = finding(cause="unexplained", factor=None, where=Place("W2", {}))
    expected = "<Report WRONG W2: unexplained in W2; 5/6 tensors correct; 71 evaluations>"
    assert repr(wrong(findings=(plain,))) == expected
    assert (
        repr(report(tensor("W1")))
        == "<Report CORRECT: difference at most 6.2e-08; 1/1 tensors correct; 71 evaluations>"
    )
    undecided = report(*(tensor(name, Verdict.UNDECIDED, UNKNOWN, "noise") for name in "abc"))
    assert repr(undecided) == "<Report UNDECIDED a and 2 more: noise; 0/3 tensors correct; 71 evaluations>"


def test_no_colour_in_strings_and_pipes() -> None:
    pipe = io.StringIO()
    text.write(wrong(), pipe)
    assert "\x1b" not in str(wrong())
    assert "\x1b" not in pipe.getvalue()
    assert pipe.getvalue() == str(wrong()) + "\n"


def test_colour_on_a_terminal_only_where_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    text.write(wrong(), terminal)
    assert "\x1b[" in terminal.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    plain = Terminal()
    text.write(wrong(), plain)
    assert "\x1b" not in plain.getvalue()


def test_forced_colour_does_not_reach_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in str(wrong())


def test_ascii_output_keeps_every_number() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="")
    text.write(report(tensor("σ", Verdict.WRONG, TWICE)), stream)
    stream.flush()
    shown = raw.getvalue().decode("ascii")
    assert "3.3333333e-01 +- 1e-09" in shown
    assert "\\u03c3" in shown


def test_strings_can_be_printed_where_standard_output_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", newline=""))
    print(wrong(), flush=True)
    assert "3.3333333e-01 +- 1e-09" in raw.getvalue().decode("ascii")


def test_machines_get_json_without_nan() -> None:
    rows = (Component("c", (1,), 1, 1 + 2j, complex(math.nan, 1.0), math.inf),)
    known = wrong(components=Components(rows, 1, 54), difference=UNKNOWN, seconds=math.nan)
    content = json.loads(json.dumps(known.to_dict(), allow_nan=False))
    assert content["schema_version"] == 1
    assert content["verdict"] == "wrong"
    assert content["passed"] is False
    assert content["difference"] == {"estimate": 0.3, "low": None, "high": None}
    assert content["seconds"] is None
    assert content["components"]["complete"] is False
    row = content["components"]["rows"][0]
    assert row["claimed"] == [1.0, 2.0]
    assert row["reference"] == [None, 1.0]
    assert row["error_bar"] is None
    assert content["findings"][0]["factor"] == [2.0, 3e-9]
    assert content["findings"][0]["where"]["elements"]["W2"]["positions"] == list(range(54))
    assert content["tensors"]["W2"]["shape"] == [6, 9]
    assert content["power"]["W2"] == {"size": 6.2e-8, "miss_probability": 1e-6}


def test_machines_get_plain_numbers_from_numpy_ones() -> None:
    rows = (Component("c", (np.int64(1),), np.int64(1), np.complex64(1j), np.float32(2), np.float64(0.5)),)  # type: ignore[arg-type]
    content = wrong(components=Components(rows, 1, 54), evaluations=np.int64(3)).to_dict()
    assert json.loads(json.dumps(content))["components"]["rows"][0]["claimed"] == [0.0, 1.0]
    assert ast.literal_eval(repr(content)) == content


def test_a_large_place_is_counted_and_not_listed() -> None:
    place = Place("all of W2", {"W2": np.ones((40, 40), dtype=bool)})
    elements = wrong(findings=(finding(where=place),)).to_dict()["findings"][0]["where"]["elements"]["W2"]
    assert elements == {"count": 1600, "of": 1600, "positions": None}


def test_raising_carries_the_text() -> None:
    with pytest.raises(GradientError, match=r"WRONG\. The gradient of W2"):
        wrong().raise_if_wrong()
    with pytest.warns(UndecidedWarning, match=r"UNDECIDED\. W1"):
        report(tensor("W1", Verdict.UNDECIDED, UNKNOWN, "noise")).raise_if_wrong()
    report(tensor("W1")).raise_if_wrong()


def test_tensors_beside_the_first_finding_are_named_too() -> None:
    both = report(tensor("W2", Verdict.WRONG, TWICE), tensor("b1", Verdict.WRONG, TWICE), findings=(finding("W2"),))
    assert "Further, the claimed gradient of b1 is wrong. 0 of 2 tensors are correct." in flat(both)
    unexplained = report(*(tensor(name, Verdict.WRONG, TWICE) for name in ("W1", "W2")))
    assert "The claimed gradients of W1 and W2 are wrong." in flat(unexplained)


def test_no_difference_at_all_has_no_bound() -> None:
    assert "No tensor's gradient is off at all (1 tensor" in flat(report(tensor("W1", difference=Difference(0, 0, 0))))


def test_components_are_printed_as_a_table() -> None:
    rows = (Component("W", (2, 1), 7, 3.5, 2.5, 1e-9), Component("b", (), 9, -1.0, 1.0, 1e-9))
    told = str(Components(rows, 2, 12)).splitlines()
    assert told[0] == "Worst components (of a sample of 2 out of 12)"
    assert told[1].split() == ["component", "position", "claimed", "reference"]
    assert [line.split("  ")[0] for line in told[2:]] == ["W[2, 1]", "b"]
    assert max(map(len, told)) <= 80
    assert str(Components()) == "No component was measured one by one."
