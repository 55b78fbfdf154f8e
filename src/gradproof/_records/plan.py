"""What a check is going to cost, before it is made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Expense:
    """What one method takes for a right gradient.

    Attributes:
        evaluations: fewest and most evaluations of the cost; equal where the number is known exactly.
        seconds: the same in seconds, from evaluations that were timed.
        memory: bytes that the check itself holds at its peak, beside what the cost and the gradient take.
    """

    evaluations: tuple[int, int]
    seconds: tuple[float, float]
    memory: int


@dataclass(frozen=True)
class Plan:
    """What a check would cost with each method.

    Attributes:
        parameters: number of parameters that are checked.
        tensors: number of tensors.
        evaluation: seconds that one evaluation of the cost takes.
        gradient: seconds that one call of the claimed gradient takes; 0 where it was passed as arrays.
        methods: name of a method to what it takes.
        evaluations: evaluations of the cost that went into the plan.
        random: what the cost draws random numbers from; empty where it draws none.
    """

    parameters: int
    tensors: int
    evaluation: float
    gradient: float
    methods: Mapping[str, Expense]
    evaluations: int
    random: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The content for machines, ready for ``json.dumps``."""
        return asdict(self) | {
            "methods": {
                name: {
                    "evaluations": [*expense.evaluations],
                    "seconds": [*expense.seconds],
                    "memory": expense.memory,
                }
                for name, expense in self.methods.items()
            },
            "random": [*self.random],
        }

    def __str__(self) -> str:
        from gradproof._report.plan import render_plan

        return render_plan(self)
