"""Every component of a function of tensors: many parameter sets at once by ``torch.func.vmap``, beside one by one.

The decision it rests on: the same function is checked in two forms that differ in nothing but whether PyTorch can
evaluate it for many sets, so that what that buys is seen, with all that choosing the chunk takes. Seconds are the
processor's, with one thread.
"""

import time
from typing import Any

import torch
from running import arguments, table, write

import gradproof as gp

#: Rows and columns of the matrix whose elements are all measured.
SIZES = ((10, 10), (30, 30), (60, 50), (100, 100))

#: The element that may be wrong.
WRONG = (1, 4)


def dense(*, batched: bool, factor: float = 1.0) -> Any:
    """``tanh(W x)`` by hand, with or without a rule for many sets; one element of the gradient times a factor."""

    class Dense(torch.autograd.Function):
        generate_vmap_rule = batched

        @staticmethod
        def forward(*given: Any) -> Any:
            W, x = given[-2:]
            y = torch.tanh(W @ x)
            if not batched:
                given[0].save_for_backward(W, x, y)
            return y

        if batched:

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                ctx.save_for_backward(*inputs, output)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            W, x, y = ctx.saved_tensors
            d = v * (1 - y * y)
            whole = torch.outer(d, x)
            whole[WRONG] *= factor
            return whole, W.T @ d

    return Dense.apply


def row(rows: int, columns: int, seed: int) -> list[Any]:
    """One size in numbers."""
    random = torch.Generator().manual_seed(seed)
    W = torch.randn(rows, columns, generator=random, dtype=torch.float64) / columns**0.5
    x = torch.randn(columns, generator=random, dtype=torch.float64)
    cells: list[Any] = [f"{rows} x {columns}"]
    seconds = []
    for batched in (False, True):
        gp.check_function(dense(batched=batched), W[:2], x, method="exhaustive", seed=seed)  # what is loaded first
        start = time.process_time()
        report = gp.check_function(dense(batched=batched), W, x, method="exhaustive", seed=seed)
        seconds.append(time.process_time() - start)
        chunk = next((note.split()[3] for note in report.notes if "at a time" in note), "1")
        cells += [str(report.verdict), chunk, report.evaluations, seconds[-1]]
    return [*cells, seconds[0] / seconds[1]]


def main() -> int:
    settings = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    found = [row(rows, columns, settings.seed) for rows, columns in (SIZES[:2] if settings.short else SIZES)]
    one = ["verdict", "at a time", "evaluations", "s"]
    table("Every component of tanh(W x)", ["W", *one, *one, "times faster"], found)
    write(settings.json, "torch_exhaustive", settings, {str(cells[0]): cells[1:] for cells in found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
