"""A Triton kernel with a planted slip, checked on the GPU where it runs.

The backward pass of a fused x * sigmoid(x) forgets one factor in its last tile. Run it where there is a GPU and Triton:

    python examples/triton_kernel.py

It says why where there is none, and ends with status 0; else with 0 if the slip was found and the right kernel passed.
"""

import importlib.util
import sys
from typing import Any


def missing() -> str:
    """Why this cannot run here; "" where it can."""
    for name in ("torch", "triton"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    import torch

    return "" if torch.cuda.is_available() else "there is no GPU on this machine"


def kernels() -> Any:
    """The function, right and with the slip."""
    import torch
    import triton
    import triton.language as tl

    @triton.jit
    def forward(x_ptr: Any, y_ptr: Any, n: Any, BLOCK: tl.constexpr) -> None:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + at, mask=at < n)
        tl.store(y_ptr + at, x / (1.0 + tl.exp(-x)), mask=at < n)

    @triton.jit
    def backward(x_ptr: Any, v_ptr: Any, g_ptr: Any, n: Any, slip: tl.constexpr, BLOCK: tl.constexpr) -> None:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + at, mask=at < n)
        s = 1.0 / (1.0 + tl.exp(-x))
        right = s * (1.0 + x * (1.0 - s))
        last = at >= (n // BLOCK) * BLOCK
        found = tl.where(last, s, right) if slip else right
        tl.store(g_ptr + at, tl.load(v_ptr + at, mask=at < n) * found, mask=at < n)

    def made(slip: bool) -> Any:
        class Swish(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                x = x.contiguous()
                ctx.save_for_backward(x)
                y = torch.empty_like(x)
                forward[(triton.cdiv(x.numel(), 256),)](x, y, x.numel(), BLOCK=256)
                return y

            @staticmethod
            def backward(ctx: Any, v: Any) -> Any:
                (x,) = ctx.saved_tensors
                v, g = v.contiguous(), torch.empty_like(x)
                backward[(triton.cdiv(x.numel(), 256),)](x, v, g, x.numel(), slip, BLOCK=256)
                return g

        return Swish.apply

    return made(False), made(True)


def main() -> int:
    """Checks both kernels."""
    reason = missing()
    if reason:
        print(f"Not run: {reason}.")
        return 0
    import torch

    import gradproof as gp

    right, slipped = kernels()
    x = torch.randn(1000, device="cuda")
    reports = [gp.check_function(function, x) for function in (right, slipped)]
    for report in reports:
        print(report)
    return int(reports[0].verdict == "wrong" or reports[1].verdict != "wrong")


if __name__ == "__main__":
    sys.exit(main())
