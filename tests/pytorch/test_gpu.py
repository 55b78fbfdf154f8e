"""Tensors on a GPU, which only a machine with one can show."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from models import MODELS, SLIPS, case

import gradproof as gp

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU on this machine")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("slip", [name for name in SLIPS if name != "transposed"])
@pytest.mark.parametrize("model", MODELS)
def test_verdicts_on_a_gpu(model: str, slip: str, dtype: Any) -> None:
    found = case(model, slip, dtype, seed=2_001)
    module, data = found.module.cuda(), tuple(part.cuda() for part in found.data)
    before = [p.detach().clone() for p in module.parameters()]
    report = gp.check_module(module, found.cost, data=data)
    assert report.verdict == ("correct" if slip == "right" else "wrong")
    assert all(t.verdict == "correct" for name, t in report.tensors.items() if name != found.slipping)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_a_kernel_that_knows_float32_alone_with_tf32_and_atomics() -> None:
    index = torch.randint(0, 8, (4096,), device="cuda")

    def cost(p: Any) -> Any:
        if p.dtype is not torch.float32:
            raise TypeError("float32 only")
        added = torch.zeros(8, device="cuda").index_add(0, index, p @ torch.ones(16, device="cuda"))
        return (added * added).mean()

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        report = gp.check(cost, torch.randn(4096, 16, device="cuda"))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert report.verdict != "wrong"
    assert "own precision" in " ".join(report.notes)
