"""What a check holds beside a model, counted in bytes of tensors that are alive at once."""

from typing import Any

import pytest

pytest.importorskip("torch")

import copy

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gradproof as gp
from gradproof._adapters.pytorch import residing

#: Bytes of pieces and of single layers in float64, which do not grow with the model.
FIXED = 16e6
#: Tensors below this many bytes are not counted one by one.
SMALL = 1 << 15


class Counting(TorchDispatchMode):
    """The most bytes that tensors made inside hold at once."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[Any, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().nbytes() >= SMALL:
                storage = tensor.untyped_storage()
                self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
                self.alive = {key: entry for key, entry in self.alive.items() if not entry[0].expired()}
                self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return out


def model() -> tuple[Any, Any]:
    torch.manual_seed(4)
    parts = [part for _ in range(8) for part in (nn.Linear(700, 700), nn.Tanh())]
    return nn.Sequential(*parts), torch.randn(4, 700)


def squared(module: Any, x: Any) -> Any:
    return module(x).square().mean()


def counted(run: Any) -> int:
    counting = Counting()
    with counting:
        run()
    return counting.peak


def allowed(passes: float, module: Any, copies: int) -> float:
    """1.1 times forward and backward, the parameters among them, and so many bytes a parameter."""
    held: int = sum(p.numel() * p.element_size() for p in module.parameters())
    count: int = sum(p.numel() for p in module.parameters())
    return 1.1 * (passes + held) - held + copies * count + FIXED


@pytest.mark.parametrize(("dtype", "copies"), [(torch.float32, 8), (torch.float64, 0)], ids=["float32", "float64"])
def test_no_second_copy_of_all_parameters(dtype: Any, copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residing, "LARGE", 1_000_000)
    module, x = model()
    module, x = module.to(dtype), x.to(dtype)
    passes = counted(lambda: squared(module, x).backward())
    for parameter in module.parameters():
        parameter.grad = None
    reports: list[Any] = []
    check = counted(lambda: reports.append(gp.check_module(module, squared, data=(x,), budget=24)))
    assert "checked in place" in " ".join(reports[0].notes)
    assert reports[0].evaluations > 12
    assert check <= allowed(passes, module, copies)

    def naive() -> None:
        """The claim, a float64 copy, and all of its gradient at once; or a copy of what is in float64 already."""
        squared(module, x).backward()
        wide = copy.deepcopy(module).double()
        squared(wide, x.double()).backward()

    assert counted(naive) > allowed(passes, module, copies)
