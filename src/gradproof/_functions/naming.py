"""Causes that only the Jacobian tells: it is measured, held against the claimed one, and read.

The decision behind it: this comes last, for what is wrong and has no name, as a Jacobian takes some evaluations a
column. What a signature says is exact in every entry, so that the difference which is left once its fix is applied is
measured and not argued.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.blocks import Bench, Block, bench
from gradproof._algebra.comparing import attempt, listed
from gradproof._check import Settings
from gradproof._evaluation import BudgetExhaustedError
from gradproof._functions.merging import with_findings
from gradproof._functions.signatures import (
    another_value,
    arrays_used,
    attention,
    crosswise,
    elementwise,
    last_step,
    left_out,
    one_number,
    product,
)
from gradproof._functions.signatures.said import Said, Scene, Signature
from gradproof._functions.subject import Subject
from gradproof._records import Finding, Place, Report, Verdict

#: Signatures, the simplest first.
SIGNATURES: tuple[Signature, ...] = (
    elementwise.explain,
    crosswise.explain,
    last_step.explain,
    one_number.explain_sigmoid,
    left_out.explain,
    product.explain,
    arrays_used.explain,
    another_value.explain,
    attention.explain,
    one_number.explain,
)
#: Findings that name no cause.
NAMELESS = ("unexplained", "region", "upstream")
#: Elements among which a single wrong one is an exception.
MANY = 64
OUT_OF_BUDGET = "The budget did not reach for the Jacobian, which might have told the cause."


def named(subject: Subject, report: Report, settings: Settings) -> tuple[Report, frozenset[str]]:
    """The report with causes that the Jacobian tells, in place of findings that name none, and the inputs concerned."""
    nameless = (f for f in report.findings if f.cause in NAMELESS and f.severity == "error" and not _is_lone(f))
    vague = {n for f in nameless for n in f.tensors}
    known = {n for f in report.findings if f.cause not in NAMELESS and f.severity == "error" for n in f.tensors}
    wrong = [n for n, t in report.tensors.items() if t.verdict is Verdict.WRONG and n in vague - known]
    doubled = subject.doubled() if wrong and settings.options.method == "auto" else None
    if doubled is None:
        return report, frozenset()

    def spend(evaluations: int) -> None:
        settings.meter.afford(evaluations)
        settings.meter.spend(evaluations)

    try:
        found = _looked_at(subject, bench(doubled, spend), wrong)
    except BudgetExhaustedError:
        return replace(report, notes=(*report.notes, OUT_OF_BUDGET)), frozenset()
    told = frozenset(n for f in found for n in f.tensors)
    kept = tuple(f for f in report.findings if f.cause not in NAMELESS or not set(f.tensors) <= told)
    shortened = tuple(without(f, told) if f.cause in NAMELESS else f for f in kept)
    return (with_findings(replace(report, findings=shortened), found) if found else report), told


def _is_lone(finding: Finding) -> bool:
    """Whether it is about one element among many: a rule that makes an exception of that is no slip with a name."""
    masks = finding.where.masks.values()
    return sum(int(m.sum()) for m in masks) == 1 and sum(m.size for m in masks) > MANY


def without(finding: Finding, told: frozenset[str]) -> Finding:
    """A finding that names no cause, of what is left of its tensors."""
    left = tuple(n for n in finding.tensors if n not in told)
    if left == finding.tensors:
        return finding
    masks = {n: mask for n, mask in finding.where.masks.items() if n in left}
    return replace(finding, tensors=left, where=Place(f"all of {listed(left)}", masks))


def _looked_at(subject: Subject, at: Bench, wrong: Sequence[str]) -> list[Finding]:
    """One finding for each cause, of all inputs in which it is the same."""
    slots = subject.backward().inputs
    names = tuple(slot.name for slot in slots)
    found: dict[tuple[str, str], list[_Told]] = {}
    for k, name in enumerate(names):
        if name not in wrong:
            continue
        blocks = attempt(_blocks, at, k)
        if isinstance(blocks, BudgetExhaustedError):
            raise blocks
        if isinstance(blocks, Exception) or not blocks:
            continue
        scene = Scene(at, names, tuple(s.name for s in subject.outputs), blocks)
        said = attempt(_read, scene)
        if isinstance(said, BudgetExhaustedError):
            raise said
        if isinstance(said, Exception):
            continue  # the user's code does not run where the signature would look
        if said is not None:
            found.setdefault((said.cause, said.detail), []).append(_Told(name, said, _left(scene, said), _mask(scene)))
    return [_finding(told) for told in found.values()]


@dataclass(frozen=True, eq=False)
class _Told:
    """What is said of one input.

    Attributes:
        name: the input's.
        said: the cause.
        left: what is left of the difference once it is mended; None where that is not known.
        mask: the elements of the input whose gradient is wrong for some cotangent.
    """

    name: str
    said: Said
    left: float | None
    mask: NDArray[np.bool_]


def _mask(scene: Scene) -> NDArray[np.bool_]:
    found = np.zeros(scene.bench.values[scene.blocks[0].input].shape, dtype=bool)
    for block in scene.blocks:
        lead, rows, _ = block.counts
        off = block.off.any(axis=tuple(range(lead, lead + rows)))
        found |= np.transpose(off, np.argsort((*(a for a, _ in block.lead), *block.columns)))
    return found


def _blocks(at: Bench, k: int) -> tuple[Block, ...]:
    """The Jacobians of all outputs; none where one of them cannot be had."""
    blocks = [at.block(k, output) for output in range(len(at.here))]
    return () if any(b is None for b in blocks) else tuple(b for b in blocks if b is not None)


def _read(scene: Scene) -> Said | None:
    for signature in SIGNATURES:
        said = signature(scene)
        if said is not None:
            return said
    return None


def _left(scene: Scene, said: Said) -> float | None:
    """What is left of the difference of all entries once they are mended; None where that is not known."""
    if len(said.mended) != len(scene.wrong):
        return None
    pairs = list(zip(said.mended, (b.measured for b in scene.wrong), strict=True))
    off = np.sqrt(sum(float(np.sum((m - t) ** 2)) for m, t in pairs))
    size = np.sqrt(sum(float(np.sum(t**2)) for _, t in pairs))
    return float(off / (2.0 * size)) if size else None


def _finding(told: Sequence[_Told]) -> Finding:
    names, masks = tuple(t.name for t in told), {t.name: t.mask for t in told}
    said, lefts = told[0].said, [t.left for t in told]
    repaired = None if any(left is None for left in lefts) else max(left for left in lefts if left is not None)
    whole = all(mask.all() for mask in masks.values())
    count = sum(int(mask.sum()) for mask in masks.values())
    text = f"all of {listed(names)}" if whole else f"{count} elements of {listed(names)}"
    return Finding(
        said.cause, "error", names, Place(text, masks), said.message.format(name=listed(names)),
        said.fix.format(name=listed(names)), said.detail, also=said.also, repaired=repaired,
    )  # fmt: skip
