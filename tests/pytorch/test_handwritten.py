"""Hand-written layers, right and with one slip each: what is said of them."""

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp
from handwritten import LAYERS, Case, cases
from handwritten.models import cost

SLIPS = [(name, slip) for name, layer in LAYERS.items() for slip in ("", *layer.slips)]


@pytest.mark.parametrize(("name", "slip"), SLIPS)
def test_functions(name: str, slip: str) -> None:
    torch.manual_seed(7)
    layer = LAYERS[name]
    report = gp.check_function(layer.make(slip), *layer.inputs(7))
    wrong = [tensor for tensor, found in report.tensors.items() if found.verdict != "correct"]
    if not slip:
        assert report.verdict == "correct", str(report)
        assert not report.findings
        return
    causes, spoilt = layer.slips[slip]
    assert wrong == [f"inputs[{i}]" for i in spoilt], str(report)
    assert report.findings[0].cause in causes, str(report)


@pytest.mark.parametrize("case", list(cases(7)), ids=lambda case: case.name)
def test_modules(case: Case) -> None:
    report = gp.check_module(case.module, cost, data=case.data)
    if not case.slip:
        assert report.verdict == "correct", str(report)
        return
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert report.verdict == ("correct" if case.harmless else "wrong"), str(report)
    assert all(finding.cause in (*case.causes, "upstream", "unexplained") for finding in errors), str(report)
