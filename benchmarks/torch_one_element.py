"""One wrong element among many inputs of a hand-written backward pass: found, placed, at what price.

The decision it rests on: a mistake in one element of tens of thousands changes a random projection of the Jacobian by
next to nothing, which is what fast gradcheck looks at; slow gradcheck sees every element, at two evaluations an input
and a Jacobian of outputs times inputs. Where that would take minutes, slow gradcheck is timed on the first inputs
alone and multiplied; the table says so. Seconds are the processor's, with one thread, so that others on the machine do
not count.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from running import arguments, each, table, write

import gradproof as gp
from gradproof._adapters.pytorch import functions

#: Outputs of the dense function.
OUTPUTS = 8
#: Inputs that slow gradcheck is timed with where all of them would take too long.
SUBSET = 300
#: An element that is off may pass where it changes the gradient by less than this, relative: a tenth of the tolerance.
PROMISED = 1e-6
#: By how much the one element is off.
OFF = 1.01


@dataclass(frozen=True)
class Item:
    """One function with one wrong element."""

    kind: str
    size: int
    seed: int


@dataclass(frozen=True)
class Seen:
    """What gradproof and fast gradcheck say, with the seconds and evaluations of both passes."""

    item: Item
    verdict: str
    placed: bool
    right: str
    fast: bool
    seconds: float
    right_seconds: float
    evaluations: int
    megabytes: float
    change: float


def function(kind: str, weights: torch.Tensor, wrong: int | None) -> Callable[..., Any]:
    """``sin(x) exp(x / 3)`` element by element, or ``tanh(W x)``, with one element of the gradient off or none."""

    class Written(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            y = torch.sin(x) * torch.exp(x / 3) if kind == "elementwise" else torch.tanh(weights @ x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, v: torch.Tensor) -> torch.Tensor:
            x, y = ctx.saved_tensors
            if kind == "elementwise":
                d = v * torch.exp(x / 3) * (torch.cos(x) + torch.sin(x) / 3)
            else:
                d = weights.t() @ (v * (1 - y * y))
            if wrong is not None:
                d = d.clone()
                d[wrong] *= OFF
            return d

    apply: Callable[..., Any] = Written.apply
    return apply


def made(item: Item) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Inputs, weights, and the element that is wrong."""
    random = torch.Generator().manual_seed(item.seed)
    x = torch.randn(item.size, generator=random, dtype=torch.float64)
    weights = torch.randn(OUTPUTS, item.size, generator=random, dtype=torch.float64) / item.size**0.5
    return x.requires_grad_(), weights, int(torch.randint(item.size, (1,), generator=random))


def one(item: Item) -> Seen:
    """The wrong function and the right one, by gradproof and by fast gradcheck."""
    x, weights, place = made(item)
    gp.check_function(torch.sin, x[:3].detach().clone().requires_grad_())  # what is loaded with the first check
    spoilt, right = function(item.kind, weights, place), function(item.kind, weights, None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    report = gp.check_function(spoilt, x, seed=item.seed)
    seconds = time.process_time() - start
    start = time.process_time()
    sound = gp.check_function(right, x, seed=item.seed)
    right_seconds = time.process_time() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    masks = [f.where.masks.get("inputs[0]") for f in report.findings if f.severity == "error"]
    placed = any(m is not None and m.sum() == 1 and bool(m.reshape(-1)[place]) for m in masks)
    fast = _accepts(spoilt, x, fast=True)
    return Seen(item, str(report.verdict), placed, str(sound.verdict), fast, seconds, right_seconds,
                report.evaluations, peak, _change(item, spoilt, right, x))  # fmt: skip


def _change(item: Item, spoilt: Callable[..., Any], right: Callable[..., Any], x: torch.Tensor) -> float:
    """What the wrong element changes of the gradient, relative as the check puts it, for the check's own cotangent."""
    (u,) = functions.cotangents(functions.opened(right, [x], {}, None), item.seed)
    one, other = (torch.autograd.grad(made_of(x), x, u)[0] for made_of in (spoilt, right))
    return float((one - other).norm() / (one.norm() + other.norm()))


def _accepts(checked: Callable[..., Any], x: torch.Tensor, *, fast: bool) -> bool:
    return bool(torch.autograd.gradcheck(checked, (x,), fast_mode=fast, raise_exception=False))


def slow(item: Item) -> tuple[Item, float, str, float]:
    """Seconds of slow gradcheck on the right function, how they were found, and the megabytes of its Jacobians.

    With some inputs only, the function still has all of its own: the others stand still.
    """
    x, weights, _ = made(item)
    right = function(item.kind, weights, None)
    outputs = item.size if item.kind == "elementwise" else OUTPUTS
    part = x.detach()[:SUBSET].clone().requires_grad_()
    rest = x.detach()[SUBSET:]

    def narrowed(first: torch.Tensor) -> Any:
        # The analytical side takes a backward pass an output, so that as many outputs are looked at as inputs.
        return right(torch.cat([first, rest]))[:SUBSET]

    start = time.process_time()
    torch.autograd.gradcheck(narrowed, (part,), raise_exception=False)
    seconds = (time.process_time() - start) * item.size / SUBSET
    return item, seconds, f"from {SUBSET} inputs", 2 * 8 * outputs * item.size / 2**20


def main() -> int:
    parser = arguments(__doc__ or "")
    settings = parser.parse_args()
    sizes, seeds = ((2_000,), 2) if settings.short else ((10_000, 100_000), 10)
    kinds = ("elementwise", "dense")
    first = 1000 * settings.seed
    work = [Item(kind, size, first + k) for kind in kinds for size in sizes for k in range(seeds)]
    seen = list(each(one, work, settings.workers))
    beside = {(i.kind, i.size): rest for i, *rest in each(slow, [w for w in work if w.seed == first], settings.workers)}
    rows = []
    for kind in kinds:
        for size in sizes:
            mine = [s for s in seen if (s.item.kind, s.item.size) == (kind, size)]
            middle = sorted(s.seconds for s in mine)[len(mine) // 2]
            right = sorted(s.right_seconds for s in mine)[len(mine) // 2]
            seconds, how, megabytes = beside[kind, size]
            missed = sum(s.verdict == "correct" and s.change < PROMISED for s in mine)
            rows.append([
                kind, size, len(mine), sum(s.verdict == "wrong" for s in mine), sum(s.placed for s in mine), missed,
                sum(s.right == "correct" for s in mine), max(s.evaluations for s in mine), middle, right,
                max(s.megabytes for s in mine), sum(s.fast for s in mine), f"{seconds:.0f} ({how})", f"{megabytes:.0f}",
            ])  # fmt: skip
    headers = [
        "function", "inputs", "planted", "found", "placed", "missed below 1e-6",
        "right one correct", "evaluations", "s wrong", "s right",
        "MB", "fast passes", "s slow", "MB of its Jacobians",
    ]  # fmt: skip
    table("one element of the gradient off by 1%", headers, rows)
    write(settings.json, "torch_one_element", settings, {"rows": rows})
    bad = any((s.verdict == "correct" and s.change > 10.0 * PROMISED) or s.right == "wrong" for s in seen)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
