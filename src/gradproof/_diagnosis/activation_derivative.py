"""``activation-derivative``: the step back through an activation uses no derivative, or not the right one.

It may be that of another function, or be taken at another point.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gradproof._diagnosis.activations import NUMBERS, PLAIN, Activation, activations, numbers
from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.net import Array, Hook, Net, Pass

#: What a layer makes of its derivative, in words, and what it should have been told.
Variant = tuple[str, str, Callable[[Net, int], Array | None]]


def faults(site: Site) -> Iterator[Fault]:
    """Slips in the derivative of this layer's activation."""
    if site.top:
        return
    net, layer = site.net, site.layer
    act = net.acts[layer].name
    for detail, words, make in _variants(site):
        value = make(net, layer)
        if value is None or value.shape != net.Z[layer].shape or not np.all(np.isfinite(value)):
            continue
        if np.array_equal(value, net.slope(layer)):
            continue
        fixed = _fixed_number(site, detail)
        if fixed:
            yield Fault(
                "configuration", detail, ("slope", layer), _hook(make),
                f"The step back through the activation of {{layer}} does not honour the option {fixed}: it is that "
                f"{detail}, the forward pass is {act}.",
                f"Use {fixed} in the backward pass too.", also=("activation-derivative",),
            )  # fmt: skip
        yield Fault(
            "activation-derivative", detail, ("slope", layer), _hook(make),
            f"The step back through the activation of {{layer}} ({act}) {words}.",
            f"Multiply by the derivative of the {act} at Z{layer}, elementwise.",
        )  # fmt: skip


def _fixed_number(site: Site, detail: str) -> str:
    """The option that holds the number of this activation, where a slip is that of the same function with another."""
    act = site.net.acts[site.layer]
    family = act.name.rpartition(" ")[0]
    if act.number is None or not detail.startswith(f"of {family} "):
        return ""
    named = [name for name in NUMBERS if name in site.options and site.options[name] == act.number]
    return f"{named[0]} = {act.number:g}" if named else ""


def _hook(make: Callable[[Net, int], Array | None]) -> Hook:
    def hook(value: Array, run: Pass, layer: int) -> Array:
        found = make(run.net, layer)
        return value if found is None else found

    return hook


def _of(other: Activation, letter: str) -> Callable[[Net, int], Array]:
    return lambda net, k: other.slope(getattr(net, letter)[k])


def _neighbour(step: int) -> Callable[[Net, int], Array | None]:
    return lambda net, k: net.acts[k].slope(net.Z[k + step]) if k + step in net.Z else None


def _more(letter: str, alpha: float) -> Callable[[Net, int], Array]:
    return lambda net, k: np.asarray(getattr(net, letter)[k] + alpha)


def _variants(site: Site) -> Iterator[Variant]:
    act = site.net.acts[site.layer]
    yield "missing", "leaves its derivative out", lambda net, k: np.ones_like(net.Z[k])
    yield (
        "at A instead of Z", "takes its derivative at the activation A instead of Z",
        lambda net, k: net.acts[k].slope(net.F[k]),
    )  # fmt: skip
    yield (
        "at the layer's output instead of Z", "takes its derivative at what the next layer gets instead of Z",
        lambda net, k: net.acts[k].slope(net.A[k]),
    )  # fmt: skip
    for other in activations(site.options):
        if other.name != act.name:
            yield (
                f"of {other.name}", f"uses the derivative of {other.name}",
                _of(other, 'Z'),
            )  # fmt: skip
    yield "A(1 - A)", "uses A(1 - A), the derivative of a sigmoid", lambda net, k: net.F[k] * (1.0 - net.F[k])
    yield "1 - A^2", "uses 1 - A^2, the derivative of a tanh", lambda net, k: 1.0 - net.F[k] ** 2
    yield "1 - A", "uses 1 - A", lambda net, k: 1.0 - net.F[k]
    yield "A", "multiplies by A itself", lambda net, k: net.F[k]
    yield "Z", "multiplies by Z itself", lambda net, k: net.Z[k]
    yield "applied twice", "multiplies by its derivative twice", lambda net, k: net.slope(k) ** 2
    yield "the negative", "uses the negative of its derivative", lambda net, k: -net.slope(k)
    yield "inverse", "divides by its derivative", lambda net, k: 1.0 / net.slope(k)
    yield (
        "without the bias",
        "takes its derivative at Z without the bias",
        lambda net, k: net.acts[k].slope(net.Z[k] - net.b[k]),
    )
    for step, words in ((-1, "before"), (1, "after")):
        yield (
            f"at Z of the layer {words}", f"takes its derivative at Z of the layer {words}",
            _neighbour(step),
        )  # fmt: skip
    for other in PLAIN[:3]:
        yield (
            f"of {other.name} at A", f"uses the derivative of {other.name} at A",
            _of(other, 'F'),
        )  # fmt: skip
    yield from _where_negative([act.number, *numbers(site.options), 1.0, 0.01, 0.1, 0.2, 0.3, 0.5])


def _where_negative(alphas: Sequence[float | None]) -> Iterator[Variant]:
    """What is done on the negative side alone."""

    def on_the_left(make: Callable[[Net, int], Array]) -> Callable[[Net, int], Array]:
        return lambda net, k: np.where(net.Z[k] > 0, net.slope(k), make(net, k))

    said = "is wrong where Z is negative"
    yield "0 where negative", f"{said}: it is 0 there", on_the_left(lambda net, k: 0.0 * net.Z[k])
    yield "1 where negative", f"{said}: it is 1 there", on_the_left(lambda net, k: 1.0 + 0.0 * net.Z[k])
    yield "negated where negative", f"{said}: it is negated there", on_the_left(lambda net, k: -net.slope(k))
    yield "A where negative", f"{said}: it is A there", on_the_left(lambda net, k: net.F[k])
    yield "Z where negative", f"{said}: it is Z there", on_the_left(lambda net, k: net.Z[k])
    yield "exp(Z) where negative", f"{said}: it is exp(Z) there", on_the_left(lambda net, k: np.exp(net.Z[k]))
    for alpha in dict.fromkeys(a for a in alphas if a):
        yield (
            f"A + {alpha:g} where negative", f"{said}: it is A + {alpha:g} there",
            on_the_left(_more('F', alpha)),
        )  # fmt: skip
        yield (
            f"Z + {alpha:g} where negative", f"{said}: it is Z + {alpha:g} there",
            on_the_left(_more('Z', alpha)),
        )  # fmt: skip
    yield "0 and 1 exchanged", "is taken on the wrong side of 0", lambda net, k: net.acts[k].slope(-net.Z[k])
