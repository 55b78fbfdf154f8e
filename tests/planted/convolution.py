"""Two convolutions, a maximum over windows that overlap, a dense layer and a softmax; and its faults.

``X`` (m, C, H, W); kernels ``K1``, ``K2`` (F, C, 3, 3), the first padded; biases ``c1``, ``c2`` (F,); ``W3``
(k, F h w), ``b3`` (k,). Cross-entropy over the batch plus lambda/(2m) times the squares of kernels and weights.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Array, Model, Planted, Tree, changing
from .leafwise import leafwise

SIZES: dict[str, tuple[int, int, int]] = {"small": (2, 6, 5), "large": (3, 9, 7)}
ACTIVATIONS = ("relu", "tanh")
FILTERS, CLASSES = 3, 4


@dataclass(eq=False)
class Run:
    """What the forward step has left."""

    params: Mapping[str, Array]
    X: Array
    Y: Array
    padded: Array
    Z1: Array
    A1: Array
    Z2: Array
    A2: Array
    pooled: Array
    probabilities: Array
    logits: Array
    lambd: float

    @property
    def m(self) -> int:
        return len(self.X)


Hook = Callable[[Array, Run], Any]
#: Station -> what is done there: "delta3", "delta2", "delta1", "pool", "slope2", "slope1", "input1", "input2",
#: "kernel2", "weight3", "K1", "K2", "W3" (their data parts), "decay", and "c1", "c2",
#: "b3" (given the delta, not its sum).
Fault = Mapping[str, Hook]


def convolve(A: Array, K: Array) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(A, K.shape[2:], axis=(2, 3))
    return np.asarray(np.einsum("nchwij,fcij->nfhw", windows, K))


def kernel_gradient(A: Array, delta: Array) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(A, delta.shape[2:], axis=(2, 3))
    return np.asarray(np.einsum("ncijhw,nfhw->fcij", windows, delta))


def input_gradient(delta: Array, K: Array) -> Array:
    around = np.pad(delta, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return convolve(around, K[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))


def windows2(A: Array) -> Array:
    """The four shifts of A whose maximum is the pooled value: windows of 2 by 2 at stride 1."""
    return np.stack([A[:, :, :-1, :-1], A[:, :, :-1, 1:], A[:, :, 1:, :-1], A[:, :, 1:, 1:]])


def unpool(dP: Array, A: Array, mode: str = "add") -> Array:
    """The gradient of the pooled values sent to the winners; mode "assign" forgets that a cell can win twice."""
    shifts = windows2(A)
    winner = shifts.argmax(axis=0)
    dA = np.zeros_like(A)
    height, width = dP.shape[2:]
    for index in range(4):
        row, column = divmod(index, 2)
        part = dA[:, :, row : row + height, column : column + width]
        if mode == "assign":
            part[winner == index] = dP[winner == index]
        elif mode == "ties":
            part += dP * (shifts[index] == shifts.max(axis=0))
        elif mode == "mean":
            part += dP / 4
        else:
            part += dP * (winner == index)
    return dA


@dataclass(frozen=True)
class Network:
    """Everything that is not a parameter."""

    activation: str

    def act(self, Z: Array) -> Array:
        return np.asarray(np.tanh(Z) if self.activation == "tanh" else np.maximum(Z, 0))

    def slope(self, Z: Array) -> Array:
        return np.asarray(1 - np.tanh(Z) ** 2 if self.activation == "tanh" else 1.0 * (Z > 0))

    def forward(self, params: Tree, X: Array, Y: Array, *, lambd: float = 0.0) -> Run:
        padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
        Z1 = convolve(padded, params["K1"]) + params["c1"][:, None, None]
        A1 = self.act(Z1)
        Z2 = convolve(A1, params["K2"]) + params["c2"][:, None, None]
        A2 = self.act(Z2)
        pooled = windows2(A2).max(axis=0)
        logits = pooled.reshape(len(X), -1) @ params["W3"].T + params["b3"]
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        return Run(params, X, Y, padded, Z1, A1, Z2, A2, pooled, probabilities, logits, lambd)

    def cost(self, params: Tree, X: Array, Y: Array, **options: Any) -> float:
        run = self.forward(params, X, Y, **options)
        decay = sum(float(np.sum(params[name] ** 2)) for name in ("K1", "K2", "W3"))
        return float(-np.sum(Y * np.log(run.probabilities)) / run.m + run.lambd / (2 * run.m) * decay)

    def grads(self, params: Tree, X: Array, Y: Array, *, fault: Fault | None = None, **options: Any) -> Tree:
        run = self.forward(params, X, Y, **options)
        planted = fault or {}

        def at(station: str, value: Array) -> Any:
            return planted[station](value, run) if station in planted else value

        def bias(name: str, delta: Array) -> Any:
            axes = tuple(axis for axis in range(delta.ndim) if axis != 1)
            return planted[name](delta, run) if name in planted else delta.sum(axis=axes)

        delta3 = at("delta3", (run.probabilities - Y) / run.m)
        data = {"W3": at("W3", delta3.T @ run.pooled.reshape(run.m, -1))}
        dP = (delta3 @ at("weight3", params["W3"])).reshape(run.pooled.shape)
        dA2 = planted["pool"](dP, run) if "pool" in planted else unpool(dP, run.A2)
        delta2 = at("delta2", dA2 * at("slope2", self.slope(run.Z2)))
        data["K2"] = at("K2", kernel_gradient(at("input2", run.A1), delta2))
        dA1 = input_gradient(delta2, at("kernel2", params["K2"]))
        delta1 = at("delta1", dA1 * at("slope1", self.slope(run.Z1)))
        data["K1"] = at("K1", kernel_gradient(at("input1", run.padded), delta1))
        found = {name: g + at("decay", run.lambd / run.m * params[name]) for name, g in data.items()}
        found |= {"c1": bias("c1", delta1), "c2": bias("c2", delta2), "b3": bias("b3", delta3)}
        return {name: found[name] for name in params}


def build(seed: int, activation: str, size: str) -> Model:
    rng = np.random.default_rng([seed, 43, ACTIVATIONS.index(activation), list(SIZES).index(size)])
    channels, side, m = SIZES[size]
    features = FILTERS * (side - 3) ** 2
    params = {
        "K1": rng.normal(size=(FILTERS, channels, 3, 3)) * 0.4,
        "c1": rng.normal(size=FILTERS) * 0.2,
        "K2": rng.normal(size=(FILTERS, FILTERS, 3, 3)) * 0.3,
        "c2": rng.normal(size=FILTERS) * 0.2 - 0.2,
        "W3": rng.normal(size=(CLASSES, features)) / np.sqrt(features),
        "b3": rng.normal(size=CLASSES) * 0.2,
    }
    data = (rng.normal(size=(m, channels, side, side)), np.eye(CLASSES)[rng.permutation(np.arange(m) % CLASSES)])
    network = Network(activation)
    return Model(f"convolution {activation} {size}", network.cost, network.grads, params, data, 0, {"lambd": 0.3})


WEIGHTS = {"first": "K1", "middle": "K2", "last": "W3"}
BIASES = {"first": "c1", "middle": "c2", "last": "b3"}


def planted(seed: int, activation: str = "relu", size: str = "small") -> Iterator[Planted]:
    """Every fault that this network can have, and right gradients."""
    model = build(seed, activation, size)
    yield from controls(model, activation)
    yield from leafwise(model, WEIGHTS, BIASES)
    yield from backward(model, activation)
    yield from reductions(model)
    yield from regularisers(model)


def controls(model: Model, activation: str) -> Iterator[Planted]:
    params = model.params
    for _ in range(20):
        gradient = model.grads(params, *model.data, **model.options)
        params = {name: params[name] - 0.1 * gradient[name] for name in params}
    yield model.plant("right", "")
    yield model.plant("right, trained", "", params=params)
    yield model.plant("right, no weight decay", "", options={})
    yield model.plant(
        "weight decay missing where lambd is 0", "", {"decay": lambda g, run: 0 * g}, options={"lambd": 0.0}
    )
    # Ties there are only among cells that the ReLU has shut off, if any.
    recipe = "pooling sends the gradient to every tied cell"
    yield model.plant(recipe, "", {"pool": lambda dP, run: unpool(dP, run.A2, "ties")})


def times(factor: float) -> Hook:
    return lambda value, run: value * factor


def backward(model: Model, activation: str) -> Iterator[Planted]:
    m = len(model.data[0])
    stations = (("delta1", "first"), ("delta2", "middle"), ("delta3", "all"))
    for station, layer in stations:
        for factor, words in ((2.0, "2"), (0.5, "1/2"), (m, "m"), (1 / m, "1/m"), (-1.0, "-1")):
            also: tuple[str, ...] = (
                ("upstream", "other-loss", "cotangent") if layer == "all" and factor > 0 else ("upstream",)
            )
            cause = "factor" if factor > 0 else "sign"
            yield model.plant(f"{station} times {words}", cause, {station: times(factor)}, layer=layer, also=also)
        dropped: Fault = {station: lambda delta, run: np.concatenate([delta[:-1], 0 * delta[-1:]])}
        yield model.plant(
            f"last example dropped from {station}",
            "missing-path",
            dropped,
            layer=layer,
            also=("upstream", "unexplained"),
            also_with=("region",),
        )
    for station, layer in stations[:2]:
        yield model.plant(f"severed at {station}", "zero", {station: times(0.0)}, layer=layer, also=("upstream",))
        edge: Fault = {station: lambda delta, run: np.concatenate([delta[..., :-1], 0 * delta[..., -1:]], axis=-1)}
        recipe = f"last column of {station} zero"
        yield model.plant(recipe, "region", edge, layer=layer, also=("upstream", "unexplained"))
        hooks: dict[str, Hook] = {"missing": lambda act, run: np.ones_like(act)}
        if activation == "tanh":
            hooks["A(1 - A)"] = lambda act, run: np.sqrt(1 - act) * (1 - np.sqrt(1 - act))
        else:
            hooks["1 where negative"] = lambda act, run: 1 - act
        for words, hook in hooks.items():
            recipe, where = f"activation derivative {words}, {station}", station.replace("delta", "slope")
            yield model.plant(recipe, "activation-derivative", {where: hook}, layer=layer, also=("upstream",))
    steps: tuple[tuple[str, str, str, Hook, str, tuple[str, ...]], ...] = (
        ("K2 with Z1 for A1", "wrong-cache", "input2", lambda A, run: run.Z1, "middle", ("unexplained",)),
        ("K1 with the input shifted", "wrong-cache", "input1", shifted, "first", ("unexplained",)),
        ("K2 not flipped in the step back", "permuted", "kernel2", flipped, "middle", ("upstream", "transposed")),
        ("K2 with its channels transposed in the step back", "transposed", "kernel2", crossed, "middle", ("upstream",)),
        ("data part of K2 with its channels transposed", "transposed", "K2", crossed, "middle", ()),
        ("data part of K2 flipped", "permuted", "K2", flipped, "middle", ()),
        ("K2 updated before use", "early-update", "kernel2", early, "middle", ("upstream",)),
        ("pooling assigns where windows overlap", "overwritten", "pool", assigned, "middle", ("upstream",)),
        ("softmax derivative twice", "other-loss", "delta3", doubly, "all", ("upstream", "unexplained")),
    )
    for recipe, cause, station, hook, layer, also in steps:
        yield model.plant(recipe, cause, {station: hook}, layer=layer, also=also)
    grads = changing(model.grads, K2=lambda g: g.transpose(1, 0, 2, 3).copy())
    yield model.plant("K2 with its channels transposed", "transposed", grads=grads, layer="middle")
    grads = changing(model.grads, K1=lambda g: g.transpose(0, 1, 3, 2).copy())
    yield model.plant(
        "K1 with height and width exchanged", "transposed", grads=grads, layer="first", also_with=("permuted",)
    )


def shifted(A: Array, run: Run) -> Array:
    return np.roll(A, 1, axis=3)


def flipped(K: Array, run: Run) -> Array:
    return K[:, :, ::-1, ::-1]


def crossed(K: Array, run: Run) -> Array:
    return K.transpose(1, 0, 2, 3)


def early(K: Array, run: Run) -> Array:
    """The kernel after a step of 0.5 along its right gradient."""
    dP = ((run.probabilities - run.Y) / run.m @ run.params["W3"]).reshape(run.pooled.shape)
    act = 1.0 * (run.Z2 > 0) if np.array_equal(run.A2, np.maximum(run.Z2, 0)) else 1 - run.A2**2
    return np.asarray(K - 0.5 * kernel_gradient(run.A1, unpool(dP, run.A2) * act))


def assigned(dP: Array, run: Run) -> Array:
    return unpool(dP, run.A2, "assign")


def doubly(delta: Array, run: Run) -> Array:
    return np.asarray(delta * run.probabilities * (1 - run.probabilities))


def reductions(model: Model) -> Iterator[Planted]:
    for name, layer in (("c1", "first"), ("c2", "middle"), ("b3", "last")):
        spatial = (2, 3) if name != "b3" else ()
        variants: dict[str, tuple[Hook, tuple[str, ...]]] = {
            "is the mean over examples": (reduction(spatial, np.mean), ("factor",)),
            "is the total": (lambda delta, run: np.full(delta.shape[1], delta.sum()), ()),
            "of the first example": (
                lambda delta, run: delta[:1].sum(axis=(0, *range(2, delta.ndim))),
                ("unexplained",),
            ),
        }
        if spatial:
            variants["is the mean over positions"] = (
                lambda delta, run: delta.mean(axis=(2, 3)).sum(axis=0),
                ("factor",),
            )
            variants["of the first position"] = (lambda delta, run: delta[:, :, 0, 0].sum(axis=0), ("unexplained",))
        for words, (hook, also) in variants.items():
            yield model.plant(f"{name} {words}", "bias-reduction", {name: hook}, layer=layer, also=also)
        unsummed: Fault = {name: lambda delta, run: delta.copy()}
        recipe = f"{name} not summed"
        yield model.plant(recipe, "unbroadcast", unsummed, layer=layer, also=("contract", "bias-reduction"))


def reduction(spatial: tuple[int, ...], over_examples: Callable[..., Any]) -> Hook:
    return lambda delta, run: over_examples(delta.sum(axis=spatial), axis=0)


def regularisers(model: Model) -> Iterator[Planted]:
    hooks: dict[str, Hook] = {
        "missing": lambda decay, run: 0 * decay,
        "doubled": lambda decay, run: 2 * decay,
        "with the wrong sign": lambda decay, run: -decay,
        "without 1/m": lambda decay, run: run.m * decay,
        "as L1": lambda decay, run: run.lambd / run.m * np.sign(decay),
    }
    for words, hook in hooks.items():
        yield model.plant(f"weight decay {words}", "regulariser", {"decay": hook})
