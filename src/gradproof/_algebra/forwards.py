"""What forward mode and the forward pass say beside the backward pass.

Forward mode is its adjoint: u . (J v) = (J^T u) . v for every cotangent u and tangent v. And a function is the same
whether it is differentiated or not, though a rule may compute it twice.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._algebra.backward import Cotangents
from gradproof._algebra.comparing import BITS, ROUNDINGS, Gap, Trial, attempt
from gradproof._records import Finding, spacing

#: More inputs than this are not moved one by one.
MOST = 8


def adjoint(trial: Trial) -> Iterator[Finding]:
    """Compares both sides along a random tangent of each input."""
    rng = np.random.default_rng(29)
    for i, slot in enumerate(trial.backward.inputs[:MOST]):
        tangents = [np.zeros(s.shape, complex if s.complex else float) for s in trial.backward.inputs]
        tangents[i] = _random(rng, slot.shape, of_complex=slot.complex)
        moved = attempt(trial.backward.pushed, tangents)
        gradient = trial.plain.gradients[i]
        if moved is None or isinstance(moved, Exception):
            return
        if gradient is None or not np.all(np.isfinite(gradient)):
            continue
        pairs = _pairs(trial, moved)
        forward = _forward(pairs)
        backward = float(np.vdot(gradient, tangents[i]).real)
        length = float(np.linalg.norm(tangents[i]))
        size = sum(float(np.linalg.norm(u) * np.linalg.norm(y)) for u, y in pairs)
        size += float(np.linalg.norm(gradient)) * length
        off = abs(forward - backward)
        if not off > trial.tolerance[slot.name] * size or not off > ROUNDINGS * trial.rounding.gradients[i] * length:
            continue
        rounding = trial.rounding.gradients[i] * length + _rounding_of_forward(trial, tangents, forward)
        if not off > ROUNDINGS * rounding:
            continue
        right = " Reverse mode is right, so that it is forward mode that is wrong." * (slot.name in trial.right)
        yield trial.finding(
            "unexplained", {i: Gap(off / size, np.ones(slot.shape, dtype=bool))},
            f"Forward and reverse mode contradict one another in {slot.name}: u . (J v) is {forward:.6g}, (u J) . v is "
            f"{backward:.6g}.{right}",
            "Make the rule for tangents and its transpose the same linear map.", "jvp and vjp are not adjoint",
        )  # fmt: skip


def _pairs(trial: Trial, moved: Cotangents) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Cotangents and what forward mode made of a tangent."""
    return [(u, y) for u, y in zip(trial.cotangents[0], moved, strict=True) if u is not None and y is not None]


def _forward(pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> float:
    return sum(float(np.vdot(u, y).real) for u, y in pairs)


def _rounding_of_forward(trial: Trial, tangents: Sequence[NDArray[Any]], forward: float) -> float:
    """The largest change of what forward mode says as the tangents change by some last bits."""
    rng, changes = np.random.default_rng(31), [0.0]
    for bits in BITS:
        turned = [
            v * (1.0 + bits * spacing(slot.format) * rng.choice([-1.0, 1.0], v.shape))
            for slot, v in zip(trial.backward.inputs, tangents, strict=True)
        ]
        moved = attempt(trial.backward.pushed, turned)
        if moved is not None and not isinstance(moved, Exception):
            changes.append(abs(_forward(_pairs(trial, moved)) - forward))
    return max(changes)


def undifferentiated(trial: Trial) -> Iterator[Finding]:
    """Compares what the function returns where it is differentiated with what it returns where it is not."""
    alone = attempt(trial.backward.undifferentiated, trial.asked())
    if isinstance(alone, Exception) or not alone:
        return
    for k, slot in enumerate(trial.backward.outputs):
        plain, beside = alone[k], trial.plain.outputs[k]
        if plain is None or trial.cotangents[0][k] is None or plain.shape != beside.shape:
            continue
        a, b = (np.where(np.isfinite(part), part, 0.0) for part in (plain, beside))
        off, size = float(np.linalg.norm(a - b)), float(np.linalg.norm(a) + np.linalg.norm(b))
        if off > max(trial.tolerance.values()) * size and off > ROUNDINGS * trial.rounding.outputs[k]:
            yield trial.finding(
                "other-loss", trial.everywhere(),
                f"Differentiated, {slot.name} is another one, by a relative difference of {off / size:.1e}; "
                f"the forward pass of the rule is not the function.",
                "Return from the rule's forward pass what the function returns.", "forward pass of the rule",
                severity="warning",
            )  # fmt: skip


def _random(rng: np.random.Generator, shape: tuple[int, ...], *, of_complex: bool) -> np.ndarray:
    real = np.asarray(rng.standard_normal(shape))
    return real + 1j * np.asarray(rng.standard_normal(shape)) if of_complex else real
