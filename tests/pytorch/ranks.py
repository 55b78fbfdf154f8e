"""Two processes that check one model together; run as processes of their own by the tests."""

import datetime
import os
from typing import Any

import torch
from torch import nn

#: Seconds after which a process that waits for another gives up.
PATIENCE = 120


class Slip(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a number."""

    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        return ctx.factor * v, None


class Layer(nn.Module):
    """A linear layer whose gradient is off by a factor, on all ranks or on the last."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7, 8) / 3)
        self.factor = factor

    def forward(self, x: Any) -> Any:
        return x @ Slip.apply(self.weight, self.factor).t()


def squared(module: Any, x: Any, y: Any) -> Any:
    return ((module(x) - y) ** 2).mean()


def local(parameter: Any) -> Any:
    return (parameter.to_local() if hasattr(parameter, "to_local") else parameter).detach()


def spread(kind: str, module: Any) -> Any:
    """The module as it is trained on two ranks."""
    if kind == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for part in (module[0], module[2], module[4]):
            fully_shard(part)
        return fully_shard(module)
    if kind == "outermost":  # which keeps its parameters gathered after a forward pass
        from torch.distributed.fsdp import fully_shard

        fully_shard(module[0])
        return fully_shard(module)
    if kind == "ddp":
        return nn.parallel.DistributedDataParallel(module)
    if kind == "tensor":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

        halves = nn.Sequential(module[0], nn.Tanh(), nn.Linear(8, 2).to(module[0].weight.dtype))
        plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
        return parallelize_module(halves, init_device_mesh("cpu", (2,)), plan)
    return module


def checked(rank: int, kind: str, slip: str, port: int, dtype: torch.dtype) -> dict[str, Any]:
    """What one process has to say."""
    import gradproof as gp

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    patience = datetime.timedelta(seconds=PATIENCE)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2, timeout=patience)
    torch.manual_seed(0)
    factor = 2.0 if slip == "all" else 1.5 if slip == "rank" and rank == 1 else 1.0
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), Layer(factor), nn.Tanh(), nn.Linear(7, 2)).to(dtype)
    module = spread(kind, module)
    torch.manual_seed(10 if kind == "tensor" else 10 + rank)
    x = torch.randn(5, 6, dtype=dtype)
    y = torch.randn(5, 2, dtype=dtype)
    before = [local(p).clone() for p in module.parameters()]
    kept = [id(p) for p in module.parameters()]
    grads = None
    if slip == "shard":
        squared(module, x, y).backward()
        local(module[2].weight.grad).mul_(1.0 + 0.5 * rank)
        grads = "grad"
    report = gp.check_module(module, squared, grads, data=(x, y), group=True)
    after = [local(p) for p in module.parameters()]
    left = all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(before, after, strict=True))
    if kind != "tensor":
        squared(module, x, y).backward()  # the model goes on as it would have
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    return {
        "verdict": str(report.verdict),
        "tensors": {name: str(t.verdict) for name, t in report.tensors.items()},
        "high": {name: t.difference.high for name, t in report.tensors.items()},
        "findings": [(f.cause, f.detail, str(f.where)) for f in report.findings],
        "notes": report.notes,
        "evaluations": report.evaluations,
        "left": left and kept == [id(p) for p in module.parameters()],
    }


def run(rank: int, kind: str, slip: str, port: int, dtype: torch.dtype, answers: Any) -> None:
    """The same, for a process of its own."""
    try:
        answers.put((rank, checked(rank, kind, slip, port, dtype)))
    except BaseException as error:
        answers.put((rank, f"{type(error).__name__}: {error}"))
        raise
