"""What forward mode and the forward pass say beside the backward pass.

Forward mode is its adjoint: u . (J v) = (J^T u) . v for every cotangent u and tangent v. And a function is the same
whether it is differentiated or not, though a rule may compute it twice.
"""

from collections.abc import Iterator

import numpy as np

from gradproof._algebra.comparing import ROUNDINGS, Gap, Trial, attempt
from gradproof._records import Finding

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
        pairs = [(u, y) for u, y in zip(trial.cotangents[0], moved, strict=True) if u is not None and y is not None]
        forward = sum(float(np.vdot(u, y).real) for u, y in pairs)
        backward = float(np.vdot(gradient, tangents[i]).real)
        length = float(np.linalg.norm(tangents[i]))
        size = sum(float(np.linalg.norm(u) * np.linalg.norm(y)) for u, y in pairs)
        size += float(np.linalg.norm(gradient)) * length
        off = abs(forward - backward)
        if not off > trial.tolerance[slot.name] * size or not off > ROUNDINGS * trial.rounding.gradients[i] * length:
            continue
        right = " Reverse mode is right, so that it is forward mode that is wrong." * (slot.name in trial.right)
        yield trial.finding(
            "unexplained", {i: Gap(off / size, np.ones(slot.shape, dtype=bool))},
            f"Forward and reverse mode contradict one another in {slot.name}: u . (J v) is {forward:.6g}, (u J) . v is "
            f"{backward:.6g}.{right}",
            "Make the rule for tangents and its transpose the same linear map.", "jvp and vjp are not adjoint",
        )  # fmt: skip


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
