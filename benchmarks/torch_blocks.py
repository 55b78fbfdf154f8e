"""Blocks of networks with hand-written backward passes, right and with each slip that can occur in them.

The decision it rests on: which gradients a slip spoils is told by PyTorch's reverse mode through the right function,
not by gradproof. A place is exact where just those tensors are called wrong, a superset where further ones are. A
cause is right where the first error names one that says the same of the slip; "unexplained", "region" and "upstream",
where they are not that, name none.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from running import arguments, each, table, write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "judged_torch"))

from planted_elementwise import OPERATORS
from planted_kit import VISIBLE, Operator, differentiable, gaps, written
from planted_linear import LINEAR

import gradproof as gp
from handwritten import LAYERS, Case, cases
from handwritten.models import cost

#: The hand-written functions of each block: layers, and operators.
BLOCKS = {
    "MLP": (("linear", "tanh", "leaky", "softmax", "dropout", "scale"), ("dense", "gelu", "silu", "dropout")),
    "CNN": (("convolution",), ("convolution",)),
    "LSTM": ((), ("cell", "scan")),
    "transformer": (("norm", "rows", "attention"), ("attention", "shared heads", "embedding", "linear attention")),
}
MODULES = {"perceptron": "MLP, module", "convolution": "CNN, module", "sequence": "transformer, module"}
#: What names no cause.
NAMELESS = ("unexplained", "region", "upstream")
#: A single-precision gradient that is off by more than this, relative, counts as spoilt.
SPOILT = 2e-3
#: What is off by less than this beside the largest gradient is rounding, as of a bias that nothing depends on.
ROUNDING = 1e-5
EXAMPLES = 4


@dataclass(frozen=True)
class Item:
    """The functions or models of one block, at one seed."""

    block: str
    seed: int


@dataclass(frozen=True)
class Seen:
    """What became of one function or model.

    Attributes:
        block: which block.
        label: function and slip.
        slip: "" where it is right.
        verdict: the report's.
        place: "exact", "superset" or "other"; "" where it does not count.
        cause: "right", "another" or "none"; "" where it does not count.
        named: the cause that was named.
        evaluations: what the check took.
    """

    block: str
    label: str
    slip: str
    verdict: str
    place: str = ""
    cause: str = ""
    named: str = ""
    evaluations: int = 0


def scored(block: str, label: str, slip: str, report: gp.Report, truth: tuple[set[str], tuple[str, ...]]) -> Seen:
    """A report beside what is true: the spoilt tensors, and the causes that say the same."""
    spoilt, causes = truth
    if not slip or report.verdict != "wrong":
        return Seen(block, label, slip, str(report.verdict), evaluations=report.evaluations)
    wrong = {name for name, found in report.tensors.items() if found.verdict == "wrong"}
    place = "exact" if wrong == spoilt else "superset" if wrong > spoilt else "other"
    named = next((f.cause for f in report.findings if f.severity == "error"), "unexplained")
    says = [cause for cause in causes if cause != "unexplained"]
    cause = "right" if named in says else "none" if named in NAMELESS else "another"
    place = place if spoilt else ""
    return Seen(block, label, slip, str(report.verdict), place, cause, named, report.evaluations)


def of_layers(block: str, seed: int) -> Iterator[Seen]:
    """The layers of a block with all of their slips."""
    for name in BLOCKS[block][0]:
        layer = LAYERS[name]
        for slip in ("", *layer.slips):
            torch.manual_seed(seed)
            report = gp.check_function(layer.make(slip), *layer.inputs(seed), seed=seed)
            causes, spoilt = layer.slips[slip] if slip else ((), ())
            if slip and not spoilt:
                continue  # PyTorch mends it in silence, and a warning is all there is to say
            yield scored(block, f"{name}: {slip}", slip, report, ({f"inputs[{i}]" for i in spoilt}, causes))


def of_operators(block: str, seed: int) -> Iterator[Seen]:
    """The operators of a block with all of their slips that can be seen at these inputs."""
    known: dict[str, Operator] = {operator.name: operator for operator in (*OPERATORS, *LINEAR)}
    for name in BLOCKS[block][1]:
        operator = known[name]
        for slip in ("", *operator.slips):
            inputs: tuple[Any, ...] = operator.inputs(torch.Generator().manual_seed(seed), EXAMPLES)
            inputs = tuple(value.requires_grad_() if differentiable(value) else value for value in inputs)
            spoilt = {name for name, off in gaps(operator, slip, inputs).items() if off > VISIBLE}
            if slip and not spoilt and slip not in operator.laws:
                continue
            report = gp.check_function(written(operator, slip), *inputs, order=operator.order, seed=seed)
            causes = tuple(operator.slips[slip].split()) if slip else ()
            yield scored(block, f"{name}: {slip}", slip, report, (spoilt, causes))


def of_modules(kind: str, seed: int) -> Iterator[Seen]:
    """Models of one kind, right and with each slip that reaches one of its parameters."""
    right: dict[str, torch.Tensor] = {}
    for case in cases(seed):
        if not case.name.startswith(f"{kind}:"):
            continue
        claimed = _gradients(case)
        if not case.slip:
            right = claimed
        least = ROUNDING * max(float(g.norm()) for g in right.values())
        off = {n: float((g - right[n]).norm()) for n, g in claimed.items()}
        spoilt = {n for n, size in off.items() if size > max(SPOILT * float(right[n].norm()), least)}
        if case.slip and (case.harmless or not spoilt):
            continue
        torch.manual_seed(seed)
        report = gp.check_module(case.module, cost, data=case.data, seed=seed)
        yield scored(MODULES[kind], case.name, case.slip, report, (spoilt, case.causes))


def _gradients(case: Case) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    case.module.zero_grad()
    cost(case.module, *case.data).backward()
    found = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in case.module.named_parameters()
    }
    for parameter in case.module.parameters():
        parameter.grad = None
    return found


def check_block(item: Item) -> list[Seen]:
    """Everything in one block."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if item.block in BLOCKS:
            return [*of_layers(item.block, item.seed), *of_operators(item.block, item.seed)]
        return list(of_modules(item.block, item.seed))


def _mean(seen: Sequence[Seen]) -> int:
    """Evaluations of a check."""
    return round(sum(s.evaluations for s in seen) / max(len(seen), 1))


def main() -> int:
    parser = arguments(__doc__ or "")
    settings = parser.parse_args()
    seeds = [1000 * settings.seed + k for k in range(1 if settings.short else 3)]
    work = [Item(block, seed) for seed in seeds for block in (*BLOCKS, *MODULES)]
    seen = [one for found in each(check_block, work, settings.workers) for one in found]
    rows = []
    for block in (*BLOCKS, *MODULES.values()):
        right = [s for s in seen if s.block == block and not s.slip]
        slips = [s for s in seen if s.block == block and s.slip]
        wrong = [s for s in slips if s.verdict == "wrong"]
        rows.append([
            block, len(right), sum(s.verdict == "correct" for s in right), sum(s.verdict == "wrong" for s in right),
            len(slips), len(wrong), sum(s.verdict == "correct" for s in slips),
            *(sum(s.place == place for s in wrong) for place in ("exact", "superset", "other")),
            *(sum(s.cause == cause for s in wrong) for cause in ("right", "another", "none")),
            _mean(right), _mean(wrong),
        ])  # fmt: skip
    headers = [
        "block", "right ones", "correct", "called wrong", "slips", "wrong", "called correct",
        "place exact", "superset", "other", "cause right", "another", "none",
        "evaluations, right ones", "wrong ones",
    ]  # fmt: skip
    table("blocks with hand-written backward passes", headers, rows)
    for title, lines in (
        ("right ones called wrong", [s.label for s in seen if not s.slip and s.verdict == "wrong"]),
        ("slips called correct", [s.label for s in seen if s.slip and s.verdict == "correct"]),
        ("place other", [f"{s.block}: {s.label}" for s in seen if s.place in ("other", "superset")]),
        ("cause another", [f"{s.block}: {s.label}: {s.named}" for s in seen if s.cause == "another"]),
    ):
        print(f"\n{title} ({len(lines)})")
        for line in sorted(set(lines)):
            print(f"  {line}")
    write(settings.json, "torch_blocks", settings, {"rows": rows})
    return 1 if any(row[3] or row[6] for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
