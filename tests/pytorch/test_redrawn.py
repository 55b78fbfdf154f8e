"""Backward passes that draw random numbers of their own."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import gradproof as gp
from handwritten import LAYERS


@pytest.mark.parametrize("slip", ["", "scale forgotten", "mask drawn again"])
def test_a_mask_of_its_own_is_told_from_other_slips(slip: str) -> None:
    layer = LAYERS["dropout"]
    report = gp.check_function(layer.make(slip), *layer.inputs(3))
    if not slip:
        assert report.verdict == "correct", str(report)
        return
    finding = report.findings[0]
    assert finding.cause in layer.slips[slip][0]
    assert (finding.detail == "redrawn") == (slip == "mask drawn again")
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


class Dropping(nn.Module):
    """A network with hand-written dropout in the middle."""

    def __init__(self, slip: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
        self.dropped = LAYERS["dropout"].make(slip)

    def forward(self, x: Any) -> Any:
        """Three numbers an example."""
        return self.last(self.dropped(torch.tanh(self.first(x))))


def test_in_a_module_all_that_lies_below_is_repaired_at_once() -> None:
    torch.manual_seed(0)
    X, Y = torch.randn(12, 5), torch.randint(0, 3, (12,))

    def cost(module: Any, X: Any, Y: Any) -> Any:
        return nn.functional.cross_entropy(module(X), Y)

    assert gp.check_module(Dropping(""), cost, data=(X, Y)).verdict == "correct"
    report = gp.check_module(Dropping("mask drawn again"), cost, data=(X, Y))
    (finding,) = report.findings
    assert (finding.cause, finding.detail, set(finding.tensors)) == (
        "dropout", "redrawn", {"first.weight", "first.bias"},
    )  # fmt: skip
    assert finding.repaired is not None
    assert finding.repaired < 1e-6
