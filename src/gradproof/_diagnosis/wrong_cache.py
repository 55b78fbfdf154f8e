"""``wrong-cache``: a step of the backward pass takes another array than it should.

Z for A, another layer's activation or error, dW for W.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.net import Array, Hook, Net, Pass


def faults(site: Site) -> Iterator[Fault]:
    """Slips in what dW, db and the step back take."""
    yield from _inputs(site)
    yield from _errors(site)
    yield from _weights(site)
    yield from _biases(site)


def cached(net: Net) -> Iterator[tuple[str, Callable[[Net], Array]]]:
    """Everything that the forward pass leaves behind, by name."""
    for k in range(1, net.top + 1):
        yield f"Z{k}", _stored("Z", k)
    for k in range(1, net.top):
        if np.any(net.D[k] != 1.0):
            yield f"A{k} before dropout", _stored("F", k)
        elif k in net.skips:
            yield f"A{k} before the skip connection", _stored("F", k)
    for k in range(net.top):
        yield (f"A{k}" if k else "X"), _stored("A", k)
    for k in range(1, net.top):
        yield f"the derivative of the activation of layer {k}", _slope(k)


def _stored(letter: str, k: int) -> Callable[[Net], Array]:
    def get(net: Net) -> Array:
        stored: Array = getattr(net, letter)[k]
        return stored

    return get


def _slope(k: int) -> Callable[[Net], Array]:
    return lambda net: net.slope(k)


def _inputs(site: Site) -> Iterator[Fault]:
    net, layer = site.net, site.layer
    wanted = f"A{layer - 1}" if layer > 1 else "X"
    for name, get in cached(net):
        array = get(net)
        if name == wanted or array.shape != net.A[layer - 1].shape or np.array_equal(array, net.A[layer - 1]):
            continue
        if "derivative" in name and layer == 1:
            continue
        dropped = "before dropout" in name
        yield Fault(
            "wrong-cache", f"{name} for {wanted}", ("input", layer), _taking(get),
            f"The gradient of {site.names[layer]} is computed with {name} where {wanted} belongs.",
            f"Use {wanted}, what layer {layer} got in the forward pass.", also=("dropout",) if dropped else (),
        )  # fmt: skip


def _taking(get: Callable[[Net], Array]) -> Hook:
    return lambda value, run, layer: get(run.net)


def _errors(site: Site) -> Iterator[Fault]:
    """Gradients of weights with another layer's error, or of this layer's before its activation."""
    layer = site.layer
    for k in range(layer + 1, site.net.top + 1):
        if site.run.delta[k].shape == site.run.delta[layer].shape:
            yield Fault(
                "wrong-cache", f"dZ{k} for dZ{layer} in dW", ("dW", layer), _of_error(k),
                f"The gradient of {site.names[layer]} is computed with dZ{k} where dZ{layer} belongs.",
                f"Use dZ{layer}.",
            )  # fmt: skip
    if not site.top:
        yield Fault(
            "wrong-cache", f"dA{layer} for dZ{layer} in dW", ("dW", layer), _of_carried,
            f"The gradient of {site.names[layer]} is computed with dA{layer} where dZ{layer} belongs.",
            f"Multiply dA{layer} by the derivative of the activation first.", also=("activation-derivative",),
        )  # fmt: skip


def _of_error(k: int) -> Hook:
    return lambda value, run, layer: run.delta[k] @ run.net.A[layer - 1].T


def _sum_of_error(k: int) -> Hook:
    return lambda value, run, layer: np.asarray(run.delta[k].sum(axis=1, keepdims=True))


def _of_carried(value: Array, run: Pass, layer: int) -> Array:
    return np.asarray(run.carried[layer] @ run.net.A[layer - 1].T)


def _weights(site: Site) -> Iterator[Fault]:
    if site.top:
        return
    above = site.layer + 1
    name = site.names[above]
    for words, get in (
        (f"the gradient of {name}", lambda run, k: run.full[k]),
        (f"the gradient of {name} without its L2 term", lambda run, k: run.data[k]),
    ):
        yield Fault(
            "wrong-cache", f"{words} for {name} in the step back", ("weights", above), _of_run(get),
            f"The step from layer {above} to layer {site.layer} takes {words} where {name} itself belongs.",
            f"Multiply by {name}.",
        )  # fmt: skip
    for k, W in site.net.W.items():
        if k != above and W.shape == site.net.W[above].shape:
            yield Fault(
                "wrong-cache", f"{site.names[k]} for {name} in the step back", ("weights", above), _of_layer(k),
                f"The step from layer {above} to layer {site.layer} takes {site.names[k]} where {name} belongs.",
                f"Multiply by {name}.",
            )  # fmt: skip


def _of_run(get: Callable[[Pass, int], Array]) -> Hook:
    return lambda value, run, layer: get(run, layer)


def _of_layer(k: int) -> Hook:
    return lambda value, run, layer: run.net.W[k]


def _biases(site: Site) -> Iterator[Fault]:
    if site.bias is None:
        return
    net, layer = site.net, site.layer
    name = site.names[layer]
    if not site.top:
        yield Fault(
            "wrong-cache", f"db{layer} of dA{layer}", ("db", layer),
            lambda value, run, layer: run.carried[layer].sum(axis=1, keepdims=True),
            f"The gradient of the biases beside {name} sums dA{layer} where dZ{layer} belongs.",
            "Sum dZ of the layer itself over the examples.", also=("activation-derivative",),
        )  # fmt: skip
    for k in range(layer + 1, net.top + 1):
        if len(net.b[k]) == len(net.b[layer]):
            yield Fault(
                "wrong-cache", f"dZ{k} for dZ{layer} in db", ("db", layer),
                _sum_of_error(k),
                f"The gradient of the biases beside {name} sums dZ{k} where dZ{layer} belongs.",
                "Sum dZ of the layer itself over the examples.", also=("swapped",),
            )  # fmt: skip
