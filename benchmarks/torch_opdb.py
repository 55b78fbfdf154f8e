"""check_function on torch's own database of operators, right and with planted errors, beside gradcheck slow and fast.

The decision it rests on: a sample counts as right only if slow gradcheck accepts it. A planted error is an identity in
front of the operator whose backward pass spoils the gradient; it counts only where it really changes the gradient by
more than the tolerance.
"""

import argparse
import itertools
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from running import arguments, each, table, write
from torch.autograd.gradcheck import GradcheckError
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_flatten, tree_unflatten

import gradproof as gp

LARGEST = 2_000
SAMPLES = 2
#: Planted errors that change the gradient by less than this, relative, are left out.
VISIBLE = 1e-4
#: What is off by less than this beside the whole gradient is lost in the rounding of the outputs.
ROUNDING = 1e-10
PLANTS = ("one element +1%", "scaled by 1.5", "zero", "transposed")


@dataclass(frozen=True)
class Item:
    """An operator of the database."""

    index: int
    seed: int
    dtype: str

    @property
    def name(self) -> str:
        """The operator's name with its variant."""
        op = op_db[self.index]
        return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else str(op.name)


@dataclass(frozen=True)
class Sample:
    """One call of an operator: all arguments, flattened, and which of them are differentiated."""

    op: Any
    leaves: Sequence[Any]
    structure: Any
    process: Any
    places: Sequence[int]

    def __call__(self, *tensors: torch.Tensor) -> Any:
        """The operator's outputs, made differentiable as the database says."""
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        first, args, kwargs = tree_unflatten(leaves, self.structure)
        return self.process(self.op.gradcheck_wrapper(self.op.op, first, *args, **kwargs))

    def differentiable(self, *tensors: torch.Tensor) -> Any:
        """The outputs that gradcheck can take."""
        found = [o for o in tree_flatten(self(*tensors))[0] if isinstance(o, torch.Tensor) and o.requires_grad]
        return tuple(found)

    def inputs(self) -> list[torch.Tensor]:
        """Fresh copies of the differentiated tensors."""
        return [self.leaves[place].detach().clone().requires_grad_() for place in self.places]


@dataclass
class Seen:
    """What became of one sample.

    Attributes:
        label: operator and number of the sample.
        slow: whether slow gradcheck accepts it; None where it could not run.
        fast: the same of fast mode.
        verdict: gradproof's; "crash: ..." where it raised.
        detail: the tensors that are not correct, with their reasons.
        seconds: of the processor, for slow, fast and gradproof.
        planted: for each planted error, what slow, fast and gradproof said.
        evaluations: cost evaluations of gradproof.
    """

    label: str
    slow: bool | None = None
    fast: bool | None = None
    verdict: str = ""
    detail: str = ""
    seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)
    planted: dict[str, tuple[bool, bool, str]] = field(default_factory=dict)
    evaluations: int = 0


def samples(item: Item) -> Iterator[Sample]:
    """The first samples of an operator that have something to differentiate."""
    op, dtype = op_db[item.index], getattr(torch, item.dtype)
    torch.manual_seed(item.seed)
    drawn = op.sample_inputs("cpu", dtype, requires_grad=True)
    for sample in itertools.islice(drawn, SAMPLES):
        leaves, structure = tree_flatten((sample.input, sample.args, sample.kwargs))
        places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
        size = sum(leaves[place].numel() for place in places)
        dense = all(leaves[place].layout == torch.strided for place in places)
        candidate = Sample(op, leaves, structure, sample.output_process_fn_grad, places)
        if places and dense and 0 < size <= LARGEST and candidate.differentiable(*candidate.inputs()):
            yield candidate


def accepted(function: Callable[..., Any], inputs: Sequence[torch.Tensor], *, fast: bool) -> tuple[bool | None, float]:
    """Whether gradcheck accepts a function, and its seconds of the processor."""
    start = time.process_time()
    try:
        verdict: bool | None = bool(torch.autograd.gradcheck(function, tuple(inputs), fast_mode=fast))
    except GradcheckError:
        verdict = False
    except Exception:
        verdict = None
    return verdict, time.process_time() - start


def spoiling(plant: str) -> Any:
    """An identity whose backward pass makes one mistake."""

    class Spoilt(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, v: torch.Tensor) -> torch.Tensor:
            v = v.clone()
            if plant == "zero":
                return torch.zeros_like(v)
            if plant == "scaled by 1.5":
                return 1.5 * v
            if plant == "transposed":
                return v.transpose(-1, -2).clone()
            flat = v.reshape(-1)
            largest = int(flat.abs().argmax())
            flat[largest] = flat[largest] * 1.01
            return flat.reshape(v.shape)

    return Spoilt.apply


def planted(sample: Sample, plant: str) -> Callable[..., Any] | None:
    """The operator behind an identity that spoils the gradient of its first input; None where that changes nothing."""
    inputs = sample.inputs()
    first = inputs[0]
    if not first.numel():
        return None
    if plant == "transposed" and not (first.dim() >= 2 and first.shape[-1] == first.shape[-2] and first.shape[-1] > 1):
        return None
    spoil = spoiling(plant)

    def function(first: torch.Tensor, *others: torch.Tensor) -> Any:
        return sample(spoil(first), *others)

    outputs = sample.differentiable(*inputs)
    cotangents = [torch.randn_like(o) for o in outputs]
    every = torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    right = every[0]
    if right is None or not bool(torch.isfinite(right).all()):
        return None
    whole = float(sum(part.norm() ** 2 for part in every if part is not None) ** 0.5)
    carrier = first.detach().clone().requires_grad_()
    (spoilt,) = torch.autograd.grad(spoil(carrier), carrier, right)
    size = float(right.norm() + spoilt.norm())
    off = float((right - spoilt).norm())
    return function if size > 0 and off > max(VISIBLE * size, ROUNDING * whole) else None


def judged(function: Callable[..., Any], inputs: Sequence[torch.Tensor], seed: int) -> tuple[Any, float]:
    """Gradproof's report and its seconds of the processor."""
    start = time.process_time()
    report = gp.check_function(function, *inputs, seed=seed)
    return report, time.process_time() - start


def check_op(item: Item) -> list[Seen]:
    """Checks the first samples of one operator."""
    torch.set_num_threads(1)
    op = op_db[item.index]
    if getattr(torch, item.dtype) not in op.supported_dtypes("cpu") or not op.supports_autograd:
        return []
    out = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            drawn = list(samples(item))
        except Exception:
            return []
        for number, sample in enumerate(drawn):
            out.append(_one(f"{item.name}[{number}]", sample, item.seed))
    return out


def _one(label: str, sample: Sample, seed: int) -> Seen:
    seen = Seen(label)
    seen.slow, slow = accepted(sample.differentiable, sample.inputs(), fast=False)
    seen.fast, fast = accepted(sample.differentiable, sample.inputs(), fast=True)
    try:
        report, own = judged(sample, sample.inputs(), seed)
    except Exception as error:
        seen.verdict = f"crash: {type(error).__name__}: {error}"[:160]
        return seen
    seen.verdict, seen.evaluations, seen.seconds = str(report.verdict), report.evaluations, (slow, fast, own)
    odd = [t for t in report.tensors.values() if t.verdict != "correct"]
    seen.detail = "; ".join(f"{t.name} {t.verdict}: {t.reason}" for t in odd)[:200]
    if seen.slow and seen.verdict == "correct":
        for plant in PLANTS:
            function = planted(sample, plant)
            if function is None:
                continue

            def flat(*inputs: torch.Tensor, function: Callable[..., Any] = function) -> Any:
                found = tree_flatten(function(*inputs))[0]
                return tuple(o for o in found if isinstance(o, torch.Tensor) and o.requires_grad)

            said = [bool(accepted(flat, sample.inputs(), fast=mode)[0]) for mode in (False, True)]
            seen.planted[plant] = (said[0], said[1], str(judged(function, sample.inputs(), seed)[0].verdict))
    return seen


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="only operators whose name contains this")
    parser.add_argument("--dtype", default="float64", help="of the samples (float64, complex128)")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth operator")
    settings: argparse.Namespace = parser.parse_args()
    step = 12 if settings.short else settings.every
    work = [Item(index, 1000 * settings.seed, settings.dtype) for index in range(0, len(op_db), step)]
    work = [item for item in work if settings.only in item.name]
    seen = list(itertools.chain.from_iterable(each(check_op, work, settings.workers)))
    right = [one for one in seen if one.slow]
    crashes = [f"{one.label}: {one.verdict}" for one in seen if one.verdict.startswith("crash")]
    verdicts = Counter(one.verdict for one in right if not one.verdict.startswith("crash"))
    rows = [[
        len(right), verdicts["correct"], verdicts["undecided"], verdicts["wrong"],
        sum(one.fast is False for one in right), *(sum(one.seconds[i] for one in right) for i in range(3)),
    ]]  # fmt: skip
    headers = ["accepted by slow", "correct", "undecided", "wrong", "fast refuses", "s slow", "s fast", "s gradproof"]
    table(f"torch's operators in {settings.dtype}", headers, rows)
    found = []
    for plant in PLANTS:
        marks = [one.planted[plant] for one in seen if plant in one.planted]
        said = Counter(mark[2] for mark in marks)
        passed = (sum(mark[0] for mark in marks), sum(mark[1] for mark in marks))
        found.append([plant, len(marks), said["wrong"], said["undecided"], said["correct"], *passed])
    table("planted errors", ["error", "planted", "wrong", "undecided", "correct", "slow passes", "fast passes"], found)
    for title, lines in (
        ("called wrong", [f"{one.label}: {one.detail}" for one in right if one.verdict == "wrong"]),
        ("undecided", [f"{one.label}: {one.detail}" for one in right if one.verdict == "undecided"]),
        ("crashes", crashes),
        ("missed", [f"{one.label}: {plant}" for one in seen for plant, m in one.planted.items() if m[2] == "correct"]),
        ("not accepted by slow", [f"{o.label}: {o.verdict} {o.detail}" for o in seen if not o.slow]),
    ):
        print(f"\n{title} ({len(lines)})")
        for line in lines:
            print(f"  {line}")
    write(settings.json, "torch_opdb", settings, {"right": rows, "planted": found, "crashes": crashes})
    return 1 if verdicts["wrong"] or crashes or any(row[4] for row in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
