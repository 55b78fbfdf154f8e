"""A call on tensors that stay where they are: on their device, on their ranks, or too large to be had twice.

The decision behind it: the user's functions are called with tensors in the places of the parameters, as on the flat
path, but what stands in them is displaced where they live. A gradient is taken up tensor by tensor as the backward pass
brings it. Models whose parameters are kept by someone else between calls (sharded by FSDP, gathered into buckets by
DDP) are called as they are.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from gradproof._adapters.pytorch.claimed import Claimed, read
from gradproof._adapters.pytorch.drawing import Whereabouts
from gradproof._adapters.pytorch.homes import Cells, Copies, Home, InPlace, unchanged
from gradproof._adapters.pytorch.precision import Widening, same_numbers
from gradproof._adapters.pytorch.problem import ASIDE, Spot, Stored, TensorProblem, Visit, unseen
from gradproof._adapters.pytorch.runner import Runner
from gradproof._adapters.pytorch.shards import Ranks, Shard, shard_of, totals
from gradproof._adapters.pytorch.target import Target
from gradproof._adapters.pytorch.tensors import dense
from gradproof._adapters.randomness import Snapshot
from gradproof._errors import InputError
from gradproof._records import Tensor

#: Costs in float64 and in the user's own precision that differ by more than this, relative to the larger one, are not
#: the same function.
ANOTHER = 0.05
#: Calls of a claim that differ by this many spacings of the largest element of the whole differ by rounding.
ROUNDED = 32.0
#: Claims in both precisions are compared at so many neighbouring points, so far off, relative to the parameters, where
#: they differ at this one; the differences are one mistake where the cosine between them is above this.
NEIGHBOURS, NEARBY, SAME_MISTAKE = 3, 1e-3, 0.9


@dataclass(frozen=True)
class Call:
    """What the user passed in.

    Attributes:
        runner: what is called, with what and how.
        grads: the claim: None for reverse mode, "grad", True, names or a nesting of tensors, or a target of its own.
        args: further arguments, data last.
        options: keyword arguments.
        random: the random state in reach.
        ranks: the processes that check together.
        only: positions of the tensors that are checked.
        live: calls the model as it is, where someone else keeps its parameters or its gradients; else None.
        widened: keeps a model whose parameters someone else keeps in float64 while it is entered; else None.
        notes: what a reader should know.
        examples: how many examples the data have; 0 where unknown.
    """

    runner: Runner
    grads: Any
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    random: Callable[[], Snapshot]
    ranks: Ranks
    only: tuple[int, ...]
    live: Target | None = None
    widened: Callable[[], Any] | None = None
    notes: tuple[str, ...] = ()
    examples: int = 0

    @property
    def computed(self) -> bool:
        """Whether the claim can be computed anew at other parameters."""
        return self.grads is None or self.grads is True or callable(self.grads)

    @property
    def kept(self) -> bool:
        """Whether someone else keeps the parameters, so that costs too are those of the model as it is."""
        return self.live is not None and self.live is self.runner.target

    @property
    def visited(self) -> bool:
        """Whether the claim can be computed at displaced parameters, and tensor by tensor."""
        return self.computed and (self.live is None or self.kept)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The tensors that are checked."""
        return [self.runner.likes[i] for i in self.only]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [self.runner.names[i] for i in self.only]

    @contextmanager
    def entered(self) -> Iterator["Session"]:
        """A session; afterwards random state, gradients, modes and buffers are what they were."""
        start = self.random()
        claims = None if self.computed else read(self.grads, self.runner, self.only, self.ranks)
        with self.runner.behind.aside(self.runner.likes):
            try:
                with self._opened(start, claims) as session:
                    yield session
            finally:
                start.restore()

    @contextmanager
    def _opened(self, start: Snapshot, claims: Claimed | None) -> Iterator["Session"]:
        """Finds out in which precision the cost can be evaluated."""
        home: Home = InPlace(self.tensors, self.names, aliases=not self.kept)
        with Whereabouts(self.runner.behind.modules) as where:
            mode = Widening(widen=False, where=where, keep=True)
            first = Session(self, self.runner, home, self.records(), self.shards(), start, given=claims)
            runner, cost = _first(first, mode)
        start.restore()
        first = replace(first, runner=runner, draws=tuple(mode.drawn))
        if not first.lower:
            yield first
            return
        # Before the copies are made, so that a graph in lower precision and they are never there together.
        first = replace(first, taken=None if claims is not None else first.native_claim())
        start.restore()
        with self._wider(first, cost, mode) as session:
            yield session

    @contextmanager
    def _wider(self, first: "Session", cost: float, seen: Widening) -> Iterator["Session"]:
        """The session at float64 copies, where the cost is the same function there."""
        if self.kept and self.widened is None:
            yield replace(first, native=True)
            return
        with self.widened() if self.kept and self.widened is not None else _nothing():
            home: Home = (
                InPlace(self.tensors, self.names, aliases=False) if self.kept else Copies(self.tensors, self.names)
            )
            watching = Widening(keep=True)
            wide = replace(first, home=home, wide=True, own=None if self.kept else first.home)
            try:
                value = _agreed(self.ranks, wide.call(watching))
                failed = "" if math.isfinite(value) else "it is not finite there"
            except Exception as error:  # whatever it is, the code knows no float64
                value, failed = math.nan, type(error).__name__
            alike = abs(value - cost) <= ANOTHER * max(abs(value), abs(cost))
            if not failed and (alike or first.draws):
                # Close costs do not make a mask the same one; nor is one on all ranks if it is not on each.
                same = not first.draws or same_numbers(seen.numbers, watching.numbers)
                alike = totals(self.ranks, [float(not same)])[0] == 0.0 and alike
                runner = replace(first.runner, mode=watching.lower)
                said = "Random numbers differ between precisions: the gradient was judged in float64 alone."
                notes = () if alike else (said,)
                yield replace(wide, runner=runner, twin=alike, notes=notes, evaluations=2)
                return
        said = f"cannot be evaluated in float64 ({failed})" if failed else "is another function in float64"
        note = f"The cost {said}; it was evaluated in its own precision."
        yield replace(first, native=True, notes=(note,), evaluations=2)

    def records(self) -> tuple[Tensor, ...]:
        """The tensors as the core sees them."""
        found: list[Tensor] = []
        offset = 0
        for tensor, name in zip(self.tensors, self.names, strict=True):
            size = tensor.numel() * (2 if tensor.is_complex() else 1)
            kind = str(tensor.dtype).removeprefix("torch.")
            found.append(Tensor(name, tuple(tensor.shape), size, offset, kind, tensor.is_complex()))
            offset += size
        return tuple(found)

    def shards(self) -> tuple[Shard, ...]:
        """What this process holds of each."""
        return tuple(shard_of(t, n, self.ranks) for t, n in zip(self.tensors, self.names, strict=True))


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two ranks claim the same, up to the order of sums."""
    return all(abs(a - b) <= 1e-9 * max(abs(one[0]), abs(other[0])) for a, b in zip(one, other, strict=True))


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _agreed(ranks: Ranks, value: float) -> float:
    """The mean over all ranks."""
    return totals(ranks, [value / ranks.size])[0]


def _first(session: "Session", mode: Widening) -> tuple[Runner, float]:
    """One evaluation in the user's own precision, with a graph where the cost cannot do without."""
    runner = session.runner
    try:
        return runner, _agreed(session.whole.ranks, session.call(mode))
    except RuntimeError:
        session.start.restore()
        mode.drawn.clear()
        mode.numbers.clear()
        graphed = replace(session, runner=replace(runner, graph=True))
        return graphed.runner, _agreed(session.whole.ranks, graphed.call(mode))


@dataclass(frozen=True)
class Session:
    """A call that was entered.

    Attributes:
        whole: the call.
        runner: how the user's functions are called.
        home: where displaced parameters stand.
        tensors: the tensors that are checked.
        shards: what this process holds of each.
        start: the random state when the check began.
        wide: whether a model in lower precision is evaluated in float64.
        native: whether it can be evaluated in its own precision only.
        twin: whether the claim in its own precision can be judged beside that in float64.
        frozen: whether the random state is put back before each evaluation.
        draws: the operations that draw random numbers.
        given: the claim where it was passed in.
        taken: the claim in the user's own precision, taken before the copies were made.
        own: where the parameters stand in the user's own precision.
        notes: what a reader should know.
        evaluations: made so far.
    """

    whole: Call
    runner: Runner
    home: Home
    tensors: tuple[Tensor, ...]
    shards: tuple[Shard, ...]
    start: Snapshot
    wide: bool = False
    native: bool = False
    twin: bool = False
    frozen: bool = False
    draws: tuple[str, ...] = ()
    given: Claimed | None = None
    taken: Claimed | None = None
    own: Home | None = None
    notes: tuple[str, ...] = ()
    evaluations: int = 1

    @property
    def lower(self) -> bool:
        """Whether any tensor that is checked or not is kept in less than float64."""
        return self.runner.lower

    def freeze(self) -> "Session":
        """The same session with randomness standing still."""
        return replace(self, frozen=True)

    def moved(self) -> tuple[str, ...]:
        """Names of sources of random numbers that were drawn from, on any rank."""
        names = tuple(self.start.moved())
        drawn = totals(self.whole.ranks, [float(bool(names))])[0]
        return names or (("another rank's random state",) if drawn else ())

    def standing(self, home: Home | None = None) -> list[torch.Tensor]:
        """What the user's functions are given, the tensors that are not checked among it."""
        given = list(self.runner.likes)
        for place, tensor in zip(self.whole.only, (home or self.home).tensors, strict=True):
            given[place] = tensor
        if not self.wide:
            return given
        chosen = set(self.whole.only)
        return [t if i in chosen else self.runner._wide(t) for i, t in enumerate(given)]

    def call(self, mode: Any = None) -> float:
        """The cost at what the home holds, on this rank.

        Raises:
            InputError: it is no number; what it raises goes through.
        """
        if self.frozen:
            self.start.restore()
        runner, tensors, args = self.runner, self.standing(), self._args()
        with runner.behind.after_call(), torch.set_grad_enabled(runner.graph), self._around(mode):
            returned = runner.target(tensors, args, self.whole.options)
        return _number(self._cost_of(returned))

    def at_point(self) -> float:
        """The mean cost over all ranks where it must be finite.

        Raises:
            InputError: it is not, or it raised on another rank.
        """
        raised: Exception | None = None
        value = math.nan
        try:
            with unchanged(self.home.tensors, self.whole.names):
                value = self.call()
        except Exception as error:
            error.add_note("gradproof: raised by the cost at the given parameters.")
            raised = error
        found = _agreed(self.whole.ranks, value)
        if raised is not None:
            raise raised
        if not math.isfinite(found):
            raise InputError.of(
                "evaluating the cost at the given parameters", "the cost", "finite on every rank", str(found),
                "Choose parameters at which the cost is finite.",
            )  # fmt: skip
        return found

    def beside(self) -> float:
        """The cost at what the home holds, on this rank; NaN where there is none."""
        try:
            value = self.call()
        except InputError:
            raise
        except Exception:  # whatever it is, the cost has no value there
            return math.nan
        return value if math.isfinite(value) else math.nan

    def claimed(self) -> Claimed:
        """The claim, in the precision in which it is kept."""
        if self.given is not None:
            return self.given
        if self.wide and self.twin and self.taken is not None and self.whole.visited:
            return replace(self.taken, formats=dict.fromkeys(self.taken.formats, "float64"))
        if self.wide and self.whole.visited:
            return self.lowered()
        return self.taken or self.native_claim()

    def native_claim(self) -> Claimed:
        """The claim as the user's functions give it in their own precision, kept whole."""
        if self.whole.grads is not None:
            return read(self._returned(), self.runner, self.whole.only, self.whole.ranks)
        kept: list[torch.Tensor | None] = [None] * len(self.tensors)
        live = self.whole.live

        def keep(i: int, gradient: torch.Tensor) -> None:
            kept[i] = gradient if live is None else gradient.clone()

        session = self
        if live is not None and not self.whole.kept:
            home = InPlace(self.whole.tensors, self.whole.names, aliases=False)
            session = replace(self, home=home, runner=replace(self.runner, target=live), wide=False)
        session.reverse(keep)
        formats = {t.name: t.dtype for t in self.tensors}
        return Claimed(tuple(None if g is None else Cells(g) for g in kept), formats)

    def lowered(self) -> Claimed:
        """The claim in float64 at what the home holds, kept in the user's own precision."""
        kept: list[Cells | None] = [None] * len(self.tensors)

        def keep(i: int, gradient: torch.Tensor) -> None:
            kept[i] = Cells(gradient.to(getattr(torch, self.tensors[i].dtype)))

        self.sweep(keep)
        return Claimed(tuple(kept), {t.name: "float64" for t in self.tensors})

    def stored(self, claimed: Claimed) -> Stored:
        """The claim as a problem wants it: with a way to compute it in float64 where it is only kept in less."""
        return Stored(claimed.cells, self.sweep if self.wide and self.whole.visited else None)

    def problem(self, claimed: Claimed) -> TensorProblem:
        """Lines through the point."""
        spot = Spot(self.tensors, self.shards, self.home, self.whole.ranks, self.beside, self.stored(claimed))
        return without_infinite(TensorProblem(spot))

    def aside(self, problem: TensorProblem, scales: Sequence[float]) -> TensorProblem:
        """Lines through a point a little beside, with the claim there.

        Args:
            problem: at the given point.
            scales: how far each tensor goes.
        """
        there = replace(problem.spot, aside=tuple(scales), other={})
        kept: list[Cells | None] = [None] * len(self.tensors)

        def keep(i: int, gradient: torch.Tensor) -> None:
            kept[i] = Cells(gradient.to(getattr(torch, self.tensors[i].dtype), copy=True))

        there.here(self.sweep, keep)
        return TensorProblem(replace(there, stored=self.stored(Claimed(tuple(kept), {}))))

    def repeated(self, problem: TensorProblem) -> dict[int, float]:
        """How far a second computation of the claim is from what was kept of the first, relative, by tensor."""
        session, stored, size = self, problem.spot.stored, len(self.tensors)
        if self.own is not None and self.twin:
            session = replace(self, home=self.own, wide=False, runner=replace(self.runner, mode=False))
        squares = [0.0] * size

        def visit(i: int, gradient: torch.Tensor) -> None:
            kept, shard, again = stored.cells[i], self.shards[i], Cells(gradient)
            if kept is None:
                return
            for chunk in shard.chunks() if shard.owner else ():
                first = kept.read(chunk.low, chunk.high).to(torch.float64)
                off = again.read(chunk.low, chunk.high).to(torch.float64) - first
                squares[i] += float(torch.dot(off, off))

        session.sweep(visit)
        # What rounding leaves of a zero may be something else at each call: it is nothing beside the whole gradient.
        largest = max((problem.summary(i).peak for i in range(size)), default=0.0)
        found = {}
        for i, square in enumerate(totals(self.whole.ranks, squares)):
            off, norm, dtype = math.sqrt(square), problem.summary(i).apart[1], getattr(torch, self.tensors[i].dtype)
            if off > ROUNDED * torch.finfo(dtype).eps * largest * math.sqrt(self.tensors[i].size) and norm:
                found[i] = off / (2.0 * norm)
        return found

    def rounded(self, problem: TensorProblem, far: Sequence[int]) -> set[int]:
        """Of tensors whose claims in both precisions differ, those where that is something else at points nearby.

        A mistake is the same at neighbouring points; what rounding does to sums that cancel is another at each.
        """
        own = self.own
        if own is None:
            return set()
        here = self._differences(problem.spot, own, far)
        found: set[int] = set()
        for number in range(NEIGHBOURS):
            near = replace(problem.spot, home=own, other={}, aside=tuple(
                NEARBY * problem.stats(i).scale for i in range(len(self.tensors))
            ), seeds=(number, *ASIDE))  # fmt: skip
            try:
                with own.displaced(near.moves, unseen):
                    there = self._differences(problem.spot, own, far)
            except InputError:
                raise
            except Exception:  # the functions need not work elsewhere
                continue
            finally:
                with self.home.displaced(problem.spot.staying, unseen):
                    pass  # copies of what was nearby are replaced by those of what is here again
            found |= {i for i in far if not self._same(here[i], there[i])}
        return found

    def _differences(self, spot: Spot, own: Home, far: Sequence[int]) -> dict[int, torch.Tensor]:
        """For each tensor the claim in the user's own precision less that in float64, at what the tensors hold now."""
        kept = {i: torch.zeros(self.shards[i].size, dtype=torch.float64) for i in far}
        sign = [1.0]

        def visit(i: int, gradient: torch.Tensor) -> None:
            cells = Cells(gradient)
            for chunk in self.shards[i].chunks() if i in kept else ():
                values = cells.read(chunk.low, chunk.high).to(torch.float64)
                kept[i] = kept[i].to(values.device)
                kept[i][chunk.low : chunk.high] += sign[0] * values

        replace(self, home=own, wide=False, runner=replace(self.runner, mode=False)).sweep(visit)
        sign[0] = -1.0
        with self.home.displaced(spot.staying, unseen):
            self.sweep(visit)
        return kept

    def _same(self, one: torch.Tensor, other: torch.Tensor) -> bool:
        """Whether two differences are the same mistake, by the angle between them."""
        pairs = ((one, one), (other, other), (one, other))
        first, second, both = totals(self.whole.ranks, [float(torch.dot(a, b)) for a, b in pairs])
        return first * second > 0.0 and both > SAME_MISTAKE * math.sqrt(first * second)

    def disagreeing(self, problem: TensorProblem, tensors: Sequence[int]) -> dict[int, list[int]]:
        """Tensors that several ranks hold whole and of which they claim different things, with the odd ranks."""
        ranks = self.whole.ranks
        members = [i for i in tensors if self.shards[i].local == self.shards[i].shape]
        if ranks.size == 1 or not members:
            return {}
        mine = [problem.fingerprint(i) for i in members]
        rows = ranks.gather([number for pair in mine for number in pair])
        found = {}
        for k, i in enumerate(members):
            seen = [tuple(row[2 * k : 2 * k + 2]) for row in rows]
            common = max(seen, key=lambda pair: sum(_alike(pair, other) for other in seen))
            odd = [rank for rank, pair in enumerate(seen) if not _alike(pair, common)]
            if odd:
                found[i] = odd
        return found

    def sweep(self, visit: Visit) -> None:
        """Computes the claim at what the home holds and shows it tensor by tensor."""
        if self.whole.grads is None:
            self.reverse(visit)
            return
        for i, gradient in enumerate(read(self._returned(), self.runner, self.whole.only, self.whole.ranks).cells):
            if gradient is not None:
                visit(i, gradient.tensor)

    def reverse(self, visit: Visit) -> None:
        """One backward pass; each gradient is shown as it arrives and then dropped."""
        if self.frozen:
            self.start.restore()
        runner, tensors, args = self.runner, self.standing(), self._args()
        leaves = [tensors[place] for place in self.whole.only]
        seen: set[int] = set()

        def arrived(i: int, leaf: torch.Tensor) -> None:
            gradient = leaf.grad
            if gradient is not None and i not in seen:
                leaf.grad = None
                seen.add(i)
                visit(i, dense(gradient.detach()))

        for leaf in leaves:
            leaf.requires_grad_()
        handles = [leaf.register_post_accumulate_grad_hook(partial(arrived, i)) for i, leaf in enumerate(leaves)]
        late = self.whole.live is not None and not self.whole.kept
        try:
            with runner.behind.after_call(), torch.enable_grad(), self._around():
                if late:  # what arrives is this rank's own; what all agree on is there at the end
                    for handle in handles:
                        handle.remove()
                returned = runner.target(tensors, args, self.whole.options)
                cost = self._cost_of(returned)
                if isinstance(cost, torch.Tensor) and cost.requires_grad:
                    # Other leaves that the cost reads are no business of this check.
                    cost.reshape(()).backward(inputs=leaves if self.whole.live is None else None)
            for i, leaf in enumerate(leaves):
                arrived(i, leaf)
        finally:
            for handle in handles:
                handle.remove()
            for leaf in leaves:
                leaf.grad = None

    def _returned(self) -> Any:
        """What the user's own gradient function returns, or what a cost that returns both does."""
        if self.frozen:
            self.start.restore()
        runner, tensors, args = self.runner, self.standing(), self._args()
        target: Target = runner.target if self.whole.grads is True else self.whole.grads
        with runner.behind.after_call(), self._around(), unchanged(self.home.tensors, self.whole.names):
            returned = target(tensors, args, self.whole.options)
        return returned[1] if self.whole.grads is True else returned

    def _args(self) -> list[Any]:
        """The further arguments, widened before any operation is watched."""
        return self.runner.given(self.whole.args, native=not self.wide)

    def _around(self, mode: Any = None) -> Any:
        if not self.wide:
            return _nothing() if mode is None else mode
        return self.runner.doubled(mode)

    def _cost_of(self, returned: Any) -> Any:
        pair = self.runner.paired and isinstance(returned, tuple | list) and len(returned) == 2
        return returned[0] if pair else returned


def without_infinite(problem: TensorProblem) -> TensorProblem:
    """The same problem with coordinates that are not finite left where they are."""
    spot = problem.spot
    fixed = dict(spot.fixed)
    known = {i: problem.summary(i) for i in range(len(spot.tensors))}
    for i in [i for i, summary in known.items() if summary.infinite]:
        parts = [~torch.isfinite(spot.home.base(i, chunk)) for chunk in spot.shards[i].chunks()]
        if parts:
            fixed[i] = torch.cat(parts)
        del known[i]
    return problem if len(known) == len(spot.tensors) else TensorProblem(replace(spot, fixed=fixed), known)


def _number(returned: Any) -> float:
    """A returned cost as a number.

    Raises:
        InputError: it is none.
    """
    if isinstance(returned, torch.Tensor):
        full = returned.full_tensor() if hasattr(returned, "full_tensor") else returned
        if full.numel() == 1 and not full.is_complex():
            return float(full.item())
        got = f"a tensor of shape {tuple(full.shape)} and dtype {full.dtype}"
    else:
        try:
            return float(returned)
        except (TypeError, ValueError):
            got = f"a {type(returned).__name__}"
    raise InputError.of(
        "evaluating the cost at the given parameters", "what the cost returns", "one real number", got,
        "For a function with several values use gradproof.check_function, or sum them up to one cost.",
    )  # fmt: skip
