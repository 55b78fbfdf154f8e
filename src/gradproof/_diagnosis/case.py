"""What a cause is given to look at, and what it answers.

The decision behind it: causes know nothing of NumPy nestings, of the engine, or of one another. Each looks at the same
``Case`` and offers explanations, every one with the claim as it would be once mended, so that accepting, ranking and
proving is done in one place and the same way for all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from gradproof._diagnosis.evidence import Suspect
from gradproof._diagnosis.layers import Layer, layers
from gradproof._diagnosis.numbers import Nice, nice
from gradproof._diagnosis.proof import Left
from gradproof._localisation.search import Whereabouts
from gradproof._records import Tensor
from gradproof._reference import Reference


class Elsewhere(Protocol):
    """The same cost under other circumstances: other data, options or parameters."""

    @property
    def cost(self) -> float:
        """The cost at the point there."""

    @property
    def claims(self) -> Mapping[str, NDArray[Any]]:
        """The claimed gradient there by tensor, in the tensors' shapes; tensors without a usable one are absent."""

    @property
    def reference(self) -> Reference:
        """Measures slopes there; made when first asked for."""

    def wrong(self, tensors: Sequence[int]) -> Mapping[int, str]:
        """The verdicts of tensors there ("correct", "wrong", "undecided"), by probes."""

    def measured(self, tensor: int, coordinates: Sequence[int] | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Derivative and error bar of single coordinates of a tensor there (all of them where None)."""


class Laboratory(Protocol):
    """What can be tried on the user's functions beyond the point of the check."""

    @property
    def callable(self) -> bool:
        """Whether the claim can be computed anew."""

    @property
    def data(self) -> tuple[Any, ...]:
        """The batch that was passed as ``data=``; empty where none was."""

    @property
    def examples(self) -> int:
        """Number of examples in the batch; 0 where unknown."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What was passed as ``options=``."""

    @property
    def vary(self) -> Sequence[str]:
        """Options that are numbers and may be varied."""

    @property
    def terms(self) -> Sequence[str]:
        """Names of the terms of the cost that were passed."""

    @property
    def random(self) -> bool:
        """Whether the cost draws random numbers, which stand still for the check."""

    def default(self, option: str) -> Any:
        """The default that the user's functions give an option; None where they give none."""

    def term(self, name: str) -> Elsewhere | None:
        """One term of the cost on its own, with a claim of zero; None where it cannot be evaluated."""

    def batch(self, examples: Sequence[int]) -> tuple[Any, ...]:
        """The data with these examples, in this order, an example as often as it is named."""

    def visit(
        self,
        *,
        data: tuple[Any, ...] | None = None,
        options: Mapping[str, Any] | None = None,
        theta: Mapping[int, NDArray[Any]] | None = None,
    ) -> Elsewhere | None:
        """The cost under other circumstances; None where it cannot be evaluated there."""

    def again(self) -> Mapping[str, NDArray[Any]] | None:
        """The claim once more at the same point; None where it cannot be computed."""

    def replayed(self) -> Mapping[str, NDArray[Any]] | None:
        """The claim with the random numbers of the forward pass in place of those that the backward pass draws."""

    @property
    def traced(self) -> bool:
        """Whether the claim is computed by a framework's reverse mode."""


@dataclass(frozen=True)
class Explanation:
    """One cause for some tensors.

    Attributes:
        cause: its slug.
        tensors: the tensors it explains, by their place in the problem.
        message: one sentence saying what is wrong, with the user's names and numbers.
        fix: one sentence saying what to change.
        repairs: the claim of each tensor once mended, where that can be computed from here.
        detail: the variant in a few words.
        rank: simpler explanations have lower ranks and go first.
        factor: the fitted number and its error.
        places: where in each tensor, if not everywhere.
        also: causes that would look the same.
        severity: ``"error"``, or ``"warning"`` where no verdict hangs on it.
    """

    cause: str
    tensors: tuple[int, ...]
    message: str
    fix: str
    repairs: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    detail: str = ""
    rank: float = 5.0
    factor: tuple[float, float] | None = None
    places: Mapping[int, Whereabouts] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    severity: str = "error"


@dataclass
class Case:
    """A wrong gradient as causes see it.

    Attributes:
        tensors: all tensors of the problem.
        verdicts: "correct", "wrong" or "undecided" by tensor.
        thetas: the parameters of all tensors, in their shapes.
        claims: the claims of all tensors, in their shapes; without those that could not be paired.
        suspects: what was measured of each wrong tensor.
        lab: what can be tried.
        explained: wrong tensors that an accepted explanation covers.
        places: where in their tensors mismatches were found, once they were looked for.
        truths: right gradients of wrong tensors, by tensor, where the network was worked out again.
        mended: repaired claims that were proven right, by tensor.
        notes: what a reader should know.
        shared: pairs of tensors whose claims are parts of the same memory.
        locate: searches a tensor for its wrong elements.
    """

    tensors: tuple[Tensor, ...]
    verdicts: Mapping[int, str]
    thetas: Mapping[int, NDArray[Any]]
    claims: Mapping[int, NDArray[Any]]
    suspects: Mapping[int, Suspect]
    lab: Laboratory
    explained: set[int] = field(default_factory=set)
    places: dict[int, Whereabouts] = field(default_factory=dict)
    truths: dict[int, NDArray[Any]] = field(default_factory=dict)
    mended: dict[int, Left] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    shared: Sequence[tuple[int, int]] = ()
    locate: Callable[[int], Whereabouts | None] = lambda _: None

    @property
    def open(self) -> list[Suspect]:
        """Wrong tensors that nothing explains yet, in the user's order."""
        return [self.suspects[i] for i in sorted(self.suspects) if i not in self.explained]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The tensors grouped into layers, in the user's order."""
        return layers(self.tensors)

    def names(self, tensors: Sequence[int]) -> str:
        """``W1``, ``W1 and b1``, or ``W1, b1 and 3 more``."""
        known = [self.tensors[i].name for i in tensors]
        if len(known) > 4:
            return f"{', '.join(known[:3])} and {len(known) - 3} more"
        return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"

    def nice(self, value: float, error: float, *, options_first: bool = False) -> Nice | None:
        """A number of the user's own or a simple one that a fitted value stands for."""
        return nice(value, error, self.lab.examples, self.lab.options, options_first=options_first)
