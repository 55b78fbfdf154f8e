"""torch's own database of operators as right gradients that nobody here wrote or tuned anything on.

The decision it rests on: a sample counts as right only if torch's gradcheck accepts it, element by element in float64;
the others (jumps, random operators, conventions) are listed apart, where any verdict may be true.
"""

import argparse
import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from problems import Params, Problem
from running import arguments, each, table, write
from scoring import Outcome, Tally, checked, histogram
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_flatten, tree_unflatten

LARGEST = 2_000
SAMPLES = 2


@dataclass(frozen=True)
class Item:
    """An operator of the database.

    Attributes:
        index: its place in ``op_db``.
        seed: draws samples and cotangents.
    """

    index: int
    seed: int

    @property
    def name(self) -> str:
        """The operator's name with its variant."""
        op = op_db[self.index]
        return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else str(op.name)


@dataclass(frozen=True)
class Sample:
    """One call of an operator as a scalar cost of its float tensors.

    Attributes:
        op: the operator's entry of the database, which also knows what its input must be (symmetric, positive).
        leaves: all arguments, flattened.
        structure: puts them together again.
        process: makes the outputs differentiable (signs of eigenvectors and the like), from the database.
        places: which leaves are differentiated.
        seed: draws the cotangent.
    """

    op: Any
    leaves: Sequence[Any]
    structure: Any
    process: Any
    places: Sequence[int]
    seed: int

    def scalar(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The float outputs against a random cotangent."""
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        first, args, kwargs = tree_unflatten(leaves, self.structure)
        output = self.op.gradcheck_wrapper(self.op.op, first, *args, **kwargs)
        outputs = tree_flatten(self.process(output))[0]
        # Not torch's generator: drawing the cotangent must not move the state that a random operator draws from.
        rng = np.random.default_rng(self.seed)
        total = torch.zeros((), dtype=torch.float64)
        for output in outputs:
            if isinstance(output, torch.Tensor) and output.dtype == torch.float64:
                cotangent = torch.from_numpy(np.asarray(rng.standard_normal(tuple(output.shape))))
                total = total + (output * cotangent).sum()
        return total

    def inputs(self) -> list[torch.Tensor]:
        """Fresh copies of the differentiated tensors."""
        return [self.leaves[place].detach().clone().requires_grad_() for place in self.places]

    def cost(self, params: Params) -> float:
        """The scalar as a cost of NumPy arrays."""
        with torch.no_grad():
            return float(self.scalar(*[torch.tensor(value) for value in params.values()]))

    def grads(self, params: Params) -> Params:
        """Its gradient by torch."""
        tensors = [torch.tensor(np.asarray(value, dtype=np.float64), requires_grad=True) for value in params.values()]
        slopes = torch.autograd.grad(self.scalar(*tensors), tensors, allow_unused=True)
        return {
            name: np.zeros(tensor.shape) if slope is None else slope.numpy(force=True).copy()
            for name, tensor, slope in zip(params, tensors, slopes, strict=True)
        }

    def problem(self, name: str) -> Problem:
        """The sample as a problem with tensors x0, x1, ..."""
        params = {f"x{number}": tensor.detach().numpy().copy() for number, tensor in enumerate(self.inputs())}
        return Problem(name, self.cost, params, self.grads)


@dataclass(frozen=True)
class Checked:
    """What became of one sample.

    Attributes:
        label: operator and number of the sample.
        right: whether gradcheck accepts it.
        refusal: why gradcheck did not accept it, or why it could not run at all.
        outcome: gradproof's check; None where the sample itself cannot be evaluated.
    """

    label: str
    right: bool
    refusal: str
    outcome: Outcome | None


def samples(item: Item) -> Iterator[Sample]:
    """The first samples of an operator that have something to differentiate."""
    op = op_db[item.index]
    torch.manual_seed(item.seed)
    drawn = op.sample_inputs("cpu", torch.float64, requires_grad=True)
    for number, sample in enumerate(itertools.islice(drawn, SAMPLES)):
        leaves, structure = tree_flatten((sample.input, sample.args, sample.kwargs))
        places = [
            place
            for place, leaf in enumerate(leaves)
            if isinstance(leaf, torch.Tensor) and leaf.requires_grad and leaf.dtype == torch.float64
        ]
        size = sum(leaves[place].numel() for place in places)
        dense = all(leaves[place].layout == torch.strided for place in places)
        candidate = Sample(op, leaves, structure, sample.output_process_fn_grad, places, item.seed + number)
        # An operator with complex or whole outputs only has no float output to be differentiated.
        if places and dense and 0 < size <= LARGEST and candidate.scalar(*candidate.inputs()).requires_grad:
            yield candidate


def accepted(sample: Sample) -> str:
    """Why gradcheck refuses the sample, "" where it accepts it."""
    try:
        torch.autograd.gradcheck(sample.scalar, sample.inputs(), check_undefined_grad=False)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0][:100]
    return ""


def check_op(item: Item) -> list[Checked]:
    """Checks the first samples of one operator."""
    torch.set_num_threads(1)
    op = op_db[item.index]
    if torch.float64 not in op.supported_dtypes("cpu") or not op.supports_autograd:
        return []
    out = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            drawn = list(samples(item))
        except Exception as error:
            return [Checked(item.name, False, f"no samples: {type(error).__name__}: {error}"[:100], None)]
        for number, sample in enumerate(drawn):
            label = f"{item.name}[{number}]"
            refusal = accepted(sample)
            try:
                problem = sample.problem(label)
                finite = math.isfinite(sample.cost(problem.params)) and bool(sample.grads(problem.params))
            except Exception as error:
                out.append(Checked(label, False, f"no cost: {type(error).__name__}: {error}"[:100], None))
                continue
            outcome = checked(label, item.seed, problem) if finite else None
            out.append(Checked(label, not refusal, refusal or ("" if finite else "cost not finite"), outcome))
    return out


@dataclass
class Listing:
    """The samples that deserve a line each.

    Attributes:
        false_alarms: right and called wrong.
        undecided: right and undecided.
        crashes: the check raised.
        refused: not accepted by gradcheck.
    """

    false_alarms: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, item: Checked) -> None:
        """Puts a sample where it belongs."""
        judgements = item.outcome.judgements if item.outcome else ()
        for each_one in judgements if item.right else ():
            line = f"{item.label}.{each_one.tensor}: [{each_one.low:.1e}, {each_one.high:.1e}] {each_one.reason}"
            if each_one.verdict == "wrong":
                self.false_alarms.append(line)
            elif each_one.verdict == "undecided":
                self.undecided.append(line)
        if item.outcome and item.outcome.crash:
            self.crashes.append(f"{item.label}: {item.outcome.crash}")
        if not item.right:
            verdicts = ", ".join(f"{each_one.tensor} {each_one.verdict}" for each_one in judgements) or "not checked"
            self.refused.append(f"{item.label}: {verdicts}; gradcheck: {item.refusal}")


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="only operators whose name contains this")
    settings: argparse.Namespace = parser.parse_args()
    chosen = range(0, len(op_db), 12 if settings.short else 1)
    work = [Item(index, 1000 * settings.seed) for index in chosen]
    work = [item for item in work if settings.only in item.name]
    right, apart, listing = Tally(), Tally(), Listing()
    for result in itertools.chain.from_iterable(each(check_op, work, settings.workers)):
        listing.add(result)
        if result.outcome:
            (right if result.right else apart).add(result.outcome)
    headers = ["samples", "checks", "tensors", "correct", "undecided", "wrong", "crashes", "evaluations", "s in all"]
    rows = [
        [
            name,
            tally.checks,
            tally.tensors,
            *[tally.verdicts[word] for word in ("correct", "undecided", "wrong")],
            len(tally.crashes),
            tally.mean_evaluations,
            sum(tally.seconds),
            histogram(tally.reasons),
        ]
        for name, tally in (("right by gradcheck", right), ("others", apart))
    ]
    table("torch's operators, scalar costs with a random cotangent", [*headers, "undecided because of"], rows)
    for title, lines in asdict(listing).items():
        print(f"\n{title} ({len(lines)})")
        for line in lines:
            print(f"  {line}")
    results = {"right": right.summary, "others": apart.summary, "listing": asdict(listing)}
    write(settings.json, "opdb", settings, results)
    return 1 if listing.false_alarms or right.crashes else 0


if __name__ == "__main__":
    raise SystemExit(main())
