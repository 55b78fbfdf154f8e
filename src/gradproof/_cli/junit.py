"""``--junit-xml``: the results as the XML that continuous integration reads.

The decision behind it: a case is a suite and a tensor a test, so that a table of tests shows which tensor it is. An
undecided tensor is a skipped test, as the form has no other word for what neither passed nor failed; with ``--strict``
it is a failure.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from gradproof._cases.outcomes import Outcome
from gradproof._cli.results import Problem, Results, problems
from gradproof._records import TensorReport, Verdict
from gradproof._report import wording

#: What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Results) -> str:
    """The results as JUnit XML."""
    top = ET.Element("testsuites", {"name": "gradproof"})
    told = list(problems(results))
    for outcome in results.outcomes:
        top.append(_suite(outcome, [one for one in told if one.outcome is outcome], results.strict))
    for kind in ("tests", "failures", "errors", "skipped"):
        top.set(kind, str(sum(int(suite.get(kind, "0")) for suite in top)))
    top.set("time", f"{results.seconds:.3f}")
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, encoding="unicode")


def _suite(outcome: Outcome, told: Sequence[Problem], strict: bool) -> ET.Element:
    suite = ET.Element("testsuite", {"name": _allowed(outcome.label), "time": f"{outcome.seconds:.3f}"})
    tensors = [(stage, one) for stage, report in outcome.reports.items() for one in report.tensors.values()]
    for stage, tensor in tensors:
        about = [one for one in told if tensor.name in one.tensors]
        label = f"{stage}: {tensor.name}" if stage else tensor.name
        suite.append(_test(outcome, f"{outcome.name}[{label}]", _result(tensor, about, strict)))
    if not tensors:
        suite.append(_test(outcome, outcome.name or outcome.path.name, _whole(outcome, strict)))
    for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    if outcome.report is not None:
        ET.SubElement(suite, "system-out").text = _allowed(str(outcome.report))
    return suite


def _test(outcome: Outcome, name: str, result: ET.Element | None) -> ET.Element:
    module = ".".join(part for part in outcome.path.with_suffix("").parts if part not in {"/", "\\", ".", ".."})
    test = ET.Element("testcase", {"classname": _allowed(module), "name": _allowed(name)})
    test.set("file", _allowed(outcome.path.as_posix()))
    test.set("line", str(outcome.line))
    if result is not None:
        test.append(result)
    return test


def _result(tensor: TensorReport, told: Sequence[Problem], strict: bool) -> ET.Element | None:
    if tensor.verdict is Verdict.CORRECT:
        return None
    about = [one for one in told if one.severe or tensor.verdict is Verdict.UNDECIDED]
    messages = [one.message for one in about] or [wording.sentence(tensor.reason)]
    if tensor.verdict is Verdict.UNDECIDED and not strict:
        return ET.Element("skipped", {"message": _allowed(f"undecided: {messages[0]}")})
    kind = about[0].cause if about else str(tensor.verdict)
    return _with_text("failure", kind, messages[0], "\n".join(messages))


def _whole(outcome: Outcome, strict: bool) -> ET.Element | None:
    """What became of a case without tensors: it raised, could not run, or checked nothing."""
    first = outcome.trouble.strip().splitlines() or [""]
    if outcome.verdict is None:
        return _with_text("error", "could not run", first[-1], outcome.trouble)
    if outcome.verdict is Verdict.WRONG:
        return _with_text("failure", "wrong", first[0], outcome.trouble)
    if outcome.verdict is Verdict.UNDECIDED:
        notes = [note for report in outcome.reports.values() for note in report.notes]
        message = f"undecided: {next(iter(notes), 'no tensor was judged')}"
        return (
            _with_text("failure", "undecided", message, "") if strict else ET.Element("skipped", {"message": message})
        )
    return None


def _with_text(tag: str, kind: str, message: str, text: str) -> ET.Element:
    element = ET.Element(tag, {"type": _allowed(kind), "message": _allowed(message)})
    element.text = _allowed(text)
    return element


def _allowed(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
