"""The derivative of every output along one direction of the inputs, held against a claimed one.

The decision behind it: what a vector-Jacobian product mixes into one number is told apart by the outputs themselves.
One line through a set of columns says at once which rows are wrong in them, and halving the set says which columns.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.jacobians import Entries, Forward
from gradproof._adapters.randomness import Snapshot, sources
from gradproof._adapters.vjps import ArraySubject
from gradproof._numerics.outputs import STEPS, slopes

#: An entry is off by at least so many error bars, and by this much of what is claimed and measured.
SURE, RELATIVE = 3.0, 1e-6
#: Inputs with no more elements are measured column by column.
FEW = 64
#: Most wrong columns that are told apart; where there are more, so many are looked at.
MOST, SAMPLE = 64, 24


@dataclass(frozen=True)
class Columns:
    """A function at its inputs with a claimed Jacobian-vector product.

    Attributes:
        subject: the function.
        forward: the claim.
        spend: is told of evaluations, and may refuse them.
    """

    subject: ArraySubject
    forward: Forward
    spend: Callable[[int], None]

    @cached_property
    def values(self) -> list[NDArray[np.float64]]:
        """The inputs."""
        return [np.asarray(leaf.value, dtype=np.float64) for leaf in self.subject.structure.leaves]

    @cached_property
    def _random(self) -> Snapshot:
        return Snapshot.of(sources(self.subject.roots))

    def _outputs(self, values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        self._random.restore()
        found = self.subject.returned([np.array(v) for v in values])[0]
        return np.asarray(found, dtype=np.float64).reshape(-1)

    @cached_property
    def here(self) -> NDArray[np.float64]:
        """The outputs at the inputs."""
        self.spend(1)
        return self._outputs(self.values)

    def off(self, k: int, chosen: NDArray[np.intp], seed: int | None = None) -> tuple[NDArray[Any], NDArray[Any], Any]:
        """Claimed minus measured change of each output along some columns of one input.

        Args:
            k: the input.
            chosen: the elements that are moved.
            seed: of the weights; None for ones.

        Returns:
            (mismatch, whether it is beyond doubt, measured) by output.
        """
        scale = float(np.sqrt(np.mean(self.values[k] ** 2))) or 1.0
        weights = np.ones(len(chosen)) if seed is None else np.random.default_rng(seed).standard_normal(len(chosen))
        tangents = [np.zeros(v.shape) for v in self.values]
        tangents[k].reshape(-1)[chosen] = weights
        domain = self.subject.domains[k] if self.subject.domains else None
        if domain is not None and domain.named:
            tangents[k] = domain.claimed(tangents[k])
        claimed = self.forward(tangents)

        def line(step: float) -> NDArray[np.float64]:
            moved = [v + step * scale * t for v, t in zip(self.values, tangents, strict=True)]
            try:
                with np.errstate(all="ignore"):
                    return self._outputs(moved)
            except Exception:  # whatever it raises, the function has no value there
                return np.full(self.here.shape, np.nan)

        self.spend(2 * len(STEPS))
        measured, bars = (part / scale for part in slopes(line, self.here))
        off = claimed - measured
        with np.errstate(invalid="ignore"):
            sure = np.abs(off) > np.maximum(SURE * bars, RELATIVE * (np.abs(claimed) + np.abs(measured)))
        return off, sure, measured

    def wrong(self, k: int) -> tuple[Entries, bool]:
        """The wrong entries of the Jacobian of one input, and whether they are all there are.

        Columns are found by halving. Where there are too many, some are looked at.
        """
        size = self.values[k].size
        if size <= FEW:
            return _entries(self._each(k, range(size))), True
        single: list[int] = []
        waiting = [np.arange(size)]
        while waiting:
            chosen = waiting.pop()
            if not self.off(k, chosen, seed=len(chosen) + int(chosen[0]))[1].any():
                continue
            if len(chosen) == 1:
                single.append(int(chosen[0]))
            else:
                half = len(chosen) // 2
                waiting += [chosen[half:], chosen[:half]]
            if len(single) + len(waiting) > MOST:
                some = np.random.default_rng(size).choice(size, SAMPLE, replace=False)
                return _entries(self._each(k, sorted(int(j) for j in some))), False
        return _entries(self._each(k, single)), True

    def _each(self, k: int, columns: Sequence[int]) -> Iterator[tuple[int, Any, Any, Any]]:
        for j in columns:
            yield j, *self.off(k, np.array([j]))


def _entries(columns: Iterator[tuple[int, Any, Any, Any]]) -> Entries:
    rows, places, off, measured = [], [], [], []
    for j, mismatch, sure, slope in columns:
        found = np.flatnonzero(sure)
        rows.append(found)
        places.append(np.full(len(found), j))
        off.append(mismatch[found])
        measured.append(slope[found])
    empty: list[Any] = [np.empty(0)]
    return Entries(
        np.concatenate(rows or empty).astype(np.intp), np.concatenate(places or empty).astype(np.intp),
        np.concatenate(off or empty), np.concatenate(measured or empty),
    )  # fmt: skip
