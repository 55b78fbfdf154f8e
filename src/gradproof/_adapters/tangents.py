"""A claimed Jacobian-vector product as a cost with a claimed gradient.

The decision behind it: along a few fixed tangents the function depends on a few numbers, how far to go along each. The
derivative by these numbers, seen through a cotangent, is what the product claims for the tangents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat, Foreign
from gradproof._adapters.jacobians import Forward
from gradproof._adapters.numpy import Call
from gradproof._adapters.randomness import sources
from gradproof._adapters.vjps import ArraySubject
from gradproof._errors import InputError
from gradproof._tree import Structure

#: Tangents of each input.
TANGENTS = 4


@dataclass(frozen=True)
class Tangents:
    """A function with a claimed Jacobian-vector product.

    Attributes:
        subject: the function.
        jvp: ``jvp(inputs, tangent)``; the tangent is an array where there is one input, else a tuple.
        off: what is taken from the product, as a function of the tangents; None where it is judged as it is.
    """

    subject: ArraySubject
    jvp: Callable[..., Any]
    off: Forward | None = None

    def call(self, cotangent: NDArray[Any]) -> Call:
        """The outputs seen through a cotangent, by how far the inputs have gone along each tangent."""
        names = self.subject.structure.names
        drawn = self._drawn()
        # Any numbers would do that are of size 1 and not all alike.
        start = [np.linspace(0.8, 1.2, len(own)) for own in drawn]
        structure = Structure.of(start, "inputs").renamed(list(names)).listed()

        def there(far: Sequence[Any]) -> list[NDArray[Any]]:
            values = [np.asarray(leaf.value) for leaf in self.subject.structure.leaves]
            steps = [np.asarray(s) - here for s, here in zip(far, start, strict=True)]
            moves = [np.tensordot(s, own, axes=1) for s, own in zip(steps, drawn, strict=True)]
            return [value + move for value, move in zip(values, moves, strict=True)]

        def cost(far: Sequence[Any]) -> Any:
            return np.sum(cotangent * self.subject.returned(there(far))[0])

        def grads(far: Sequence[Any]) -> Flat:
            forward = self.forward(there(far))
            zero = [np.zeros(own.shape[1:]) for own in drawn]
            found = {
                name: np.array([
                    float(cotangent.reshape(-1) @ forward([*zero[:i], tangent, *zero[i + 1 :]])) for tangent in own
                ])
                for i, (name, own) in enumerate(zip(names, drawn, strict=True))
            }  # fmt: skip
            return Flat(found)

        roots = [*self.subject.roots, ("jvp", self.jvp)]
        return Call(cost, None, grads, (), {}, foreign=Foreign(structure, tuple(sources(roots))))

    def _drawn(self) -> list[NDArray[np.float64]]:
        """Some tangents of each input, of its own size, and no more than it has elements."""
        rng = np.random.default_rng([self.subject.seed, 419])
        found = []
        for k, leaf in enumerate(self.subject.structure.leaves):
            value = np.asarray(leaf.value, dtype=np.float64)
            scale = float(np.sqrt(np.mean(value**2))) or 1.0
            own = scale * rng.standard_normal((min(TANGENTS, max(value.size, 1)), *value.shape))
            domain = self.subject.domains[k] if self.subject.domains else None
            if domain is not None:  # what lies on a bound stays there
                own = np.array([np.where(domain.touching(value), 0.0, domain.claimed(tangent)) for tangent in own])
            found.append(own)
        return found

    def forward(self, values: Sequence[Any]) -> Forward:
        """The claimed change of the outputs for tangents, flat.

        Raises:
            InputError: what the product returns has another size than the outputs, or it has no tangent to be given.
        """
        inputs, _ = self.subject.built(values)
        every = [np.shape(value) for value in inputs]
        places = {f"inputs[{i}]": i for i in range(len(inputs))}
        missing = [name for name in self.subject.structure.names if name not in places]
        if missing:
            raise InputError.of(
                "computing the claimed Jacobian-vector product", "what is differentiated", "positional arrays",
                ", ".join(missing), "Pass it as an array of its own, or name the others in argnums=.",
            )  # fmt: skip
        size = self.subject.outputs[0].size

        def along(tangents: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
            full: list[Any] = [np.zeros(shape) for shape in every]
            for name, tangent in zip(self.subject.structure.names, tangents, strict=True):
                full[places[name]] = np.array(tangent)
            returned = np.asarray(self.jvp(tuple(inputs), full[0] if len(full) == 1 else tuple(full)))
            if returned.size != size:
                raise InputError.of(
                    "computing the claimed Jacobian-vector product", "what jvp returns",
                    f"of the outputs' shape {self.subject.outputs[0].shape}", f"of shape {returned.shape}",
                    "Return one number an output.",
                )  # fmt: skip
            found = returned.astype(np.float64).reshape(-1)
            return found if self.off is None else found - self.off(tangents)

        return along
