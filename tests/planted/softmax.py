"""A softmax classifier with examples in rows and nested parameters, and its faults.

``Z = A @ weight + bias``, the inputs multiplied by a positive ``scale`` per feature, the mean cross-entropy against
smoothed labels plus lambda/2 times the squares of the weights (no 1/m: the other convention than the course notes').
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .base import Array, Model, Planted, Tree, changing
from .leafwise import by, leafwise

SIZES: dict[str, tuple[tuple[int, ...], int]] = {"small": ((5, 6, 6, 4), 10), "large": ((20, 24, 24, 7), 13)}
ACTIVATIONS = ("relu", "tanh")


@dataclass(eq=False)
class Run:
    """What the forward step has left."""

    layers: list[Mapping[str, Array]]
    scale: Array
    X: Array
    labels: Array
    Z: list[Array]
    A: list[Array]
    lambd: float
    smoothing: float

    @property
    def m(self) -> int:
        return len(self.X)


Hook = Callable[[Array, Run], Any]
#: (station, index of the layer) -> what is done there: "slope", "delta", "input", "weight", "data", "decay", "bias".
Fault = Mapping[tuple[str, int], Hook]


@dataclass(frozen=True)
class Network:
    """Everything that is not a parameter."""

    activation: str

    def forward(self, params: Tree, X: Array, labels: Array, *, lambd: float = 0.0, smoothing: float = 0.0) -> Run:
        A, Z = [X * params["scale"]], []
        for i, layer in enumerate(params["layers"]):
            Z.append(A[-1] @ layer["weight"] + layer["bias"])
            A.append(softmax(Z[-1]) if i == len(params["layers"]) - 1 else self.act(Z[-1]))
        return Run(params["layers"], params["scale"], X, labels, Z, A, lambd, smoothing)

    def act(self, Z: Array) -> Array:
        return np.asarray(np.tanh(Z) if self.activation == "tanh" else np.maximum(Z, 0))

    def slope(self, Z: Array) -> Array:
        return np.asarray(1 - np.tanh(Z) ** 2 if self.activation == "tanh" else 1.0 * (Z > 0))

    def cost(self, params: Tree, X: Array, labels: Array, **options: Any) -> float:
        run = self.forward(params, X, labels, **options)
        shifted = run.Z[-1] - run.Z[-1].max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        decay = sum(float(np.sum(layer["weight"] ** 2)) for layer in params["layers"])
        return float(-np.sum(targets(run, run.smoothing) * logs) / run.m + run.lambd / 2 * decay)

    def grads(self, params: Tree, X: Array, labels: Array, *, fault: Fault | None = None, **options: Any) -> Tree:
        run = self.forward(params, X, labels, **options)
        planted = fault or {}

        def at(station: str, layer: int, value: Array) -> Any:
            hook = planted.get((station, layer), planted.get((station, -1)))
            return value if hook is None else hook(value, run)

        found: list[dict[str, Any]] = []
        last = len(run.layers) - 1
        delta = at("delta", last, (run.A[-1] - targets(run, run.smoothing)) / run.m)
        for i in range(last, -1, -1):
            weight = run.layers[i]["weight"]
            data = at("data", i, at("input", i, run.A[i]).T @ delta)
            decay = at("decay", i, run.lambd * weight)
            planted_bias = planted.get(("bias", i))
            # A bias hook gets the delta, not its sum.
            bias = delta.sum(axis=0) if planted_bias is None else planted_bias(delta, run)
            found.insert(0, {"weight": data + decay, "bias": bias})
            dA = delta @ at("weight", i, weight).T
            if i > 0:
                delta = at("delta", i - 1, dA * at("slope", i - 1, self.slope(run.Z[i - 1])))
        planted_scale = planted.get(("scale", 0))
        scale = dA * run.X
        return {"layers": found, "scale": scale.sum(axis=0) if planted_scale is None else planted_scale(scale, run)}


def softmax(Z: Array) -> Array:
    shifted = np.exp(Z - Z.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def targets(run: Run, smoothing: float) -> Array:
    return np.asarray((1 - smoothing) * run.labels + smoothing / run.labels.shape[1])


def build(seed: int, activation: str, size: str) -> Model:
    rng = np.random.default_rng([seed, 41, ACTIVATIONS.index(activation), list(SIZES).index(size)])
    sizes, m = SIZES[size]
    layers = [
        {"weight": rng.normal(size=(a, b)) * 1.3 / np.sqrt(a), "bias": rng.normal(size=b) * 0.3}
        for a, b in itertools.pairwise(sizes)
    ]
    network = Network(activation)
    labels = np.eye(sizes[-1])[rng.permutation(np.arange(m) % sizes[-1])]
    data = (rng.normal(size=(m, sizes[0])), labels)
    params = {"layers": layers, "scale": rng.uniform(0.4, 2.5, size=sizes[0])}
    return Model(f"softmax {activation} {size}", network.cost, network.grads, params, data, 0, {"lambd": 0.05})


WEIGHTS = {"first": "layers.0.weight", "middle": "layers.1.weight", "last": "layers.2.weight"}
BIASES = {"first": "layers.0.bias", "middle": "layers.1.bias", "last": "layers.2.bias"}
LAYERS = ("first", "middle", "last")


def planted(seed: int, activation: str = "tanh", size: str = "small") -> Iterator[Planted]:
    """Every fault that this network can have, and right gradients."""
    model = build(seed, activation, size)
    yield from controls(model)
    yield from leafwise(model, WEIGHTS, BIASES)
    yield from backward(model, activation)
    yield from biases(model)
    yield from regularisers(model)
    yield from scales(model)
    smooth = replace(model, name=f"{model.name} smoothing", options={**model.options, "smoothing": 0.2})
    yield smooth.plant("right", "")
    fault: Fault = {("delta", 2): lambda delta, run: (run.A[-1] - run.labels) / run.m}
    recipe = "label smoothing in the forward only"
    yield smooth.plant(recipe, "configuration", fault, also=("upstream", "unexplained"), also_with=("other-loss",))


def controls(model: Model) -> Iterator[Planted]:
    params = model.params
    for _ in range(40):
        gradient = model.grads(params, *model.data, **model.options)
        params = {
            "layers": [
                {key: layer[key] - 0.3 * step[key] for key in layer}
                for layer, step in zip(params["layers"], gradient["layers"], strict=True)
            ],
            "scale": np.abs(params["scale"] - 0.1 * gradient["scale"]) + 0.01,
        }
    yield model.plant("right", "")
    yield model.plant("right, no weight decay", "", options={})
    yield model.plant("right, heavy weight decay", "", options={"lambd": 5.0})
    yield model.plant("right, trained", "", params=params)
    ones = {**model.params, "scale": np.ones_like(model.params["scale"])}
    log = changing_by_scale(model)
    yield model.plant("gradient in log scale where every scale is 1", "", grads=log, params=ones)
    missing: Fault = {("decay", -1): lambda decay, run: 0 * decay}
    yield model.plant("weight decay missing where lambd is 0", "", missing, options={"lambd": 0.0})
    one = (model.data[0][:1], model.data[1][:1])
    mean: Fault = {("bias", i): lambda delta, run: delta.mean(axis=0) for i in range(3)}
    yield model.plant("biases a mean over one example", "", mean, data=one)


def on(i: int, hook: Callable[[Array, Run, int], Any]) -> Hook:
    """The hook told which layer it works on."""
    return lambda value, run: hook(value, run, i)


def backward(model: Model, activation: str) -> Iterator[Planted]:
    m = len(model.data[0])
    for factor, words in ((2.0, "2"), (0.5, "1/2"), (m, "m"), (1 / m, "1/m"), (-1.0, "-1")):
        for i, layer in enumerate(LAYERS):
            fault: Fault = {("delta", i): scaled(factor)}
            also = ("upstream", "other-loss", "cotangent") if i == 2 and factor > 0 else ("upstream",)
            cause = "factor" if factor > 0 else "sign"
            yield model.plant(f"delta {i} times {words}", cause, fault, layer="all" if i == 2 else layer, also=also)
    for i, layer in enumerate(LAYERS[:2]):
        hooks: dict[str, Hook] = {"missing": lambda act, run: np.ones_like(act)}
        if activation == "tanh":
            hooks["at A instead of Z"] = on(i, lambda act, run, i: 1 - np.tanh(run.A[i + 1]) ** 2)
            hooks["A(1 - A)"] = on(i, lambda act, run, i: run.A[i + 1] * (1 - run.A[i + 1]))
        else:
            hooks["of a tanh"] = on(i, lambda act, run, i: 1 - np.tanh(run.Z[i]) ** 2)
            hooks["1 where negative"] = lambda act, run: 1 - act
        for words, hook in hooks.items():
            recipe = f"activation derivative {words}, layer {i}"
            fault = {("slope", i): hook}
            yield model.plant(recipe, "activation-derivative", fault, layer=layer, also=("upstream",))
        fault = {("delta", i): lambda delta, run: 0 * delta}
        yield model.plant(f"severed at layer {i}", "zero", fault, layer=layer, also=("upstream",))
    for i, layer in ((1, "middle"), (2, "last")):
        fault = {("input", i): on(i, lambda A, run, i: run.Z[i - 1])}
        recipe = f"weight {i} with Z for A"
        yield model.plant(recipe, "wrong-cache", fault, layer=layer, also=("unexplained",))
        fault = {("weight", i): on(i, lambda W, run, i: W - 0.5 * (run.A[i].T @ head(run, i, self_slope(model))))}
        yield model.plant(f"weight {i} updated before use", "early-update", fault, layer=layer, also=("upstream",))
    fault = {("input", 2): lambda A, run: run.A[1]}
    yield model.plant("weight 2 with A of the layer before", "wrong-cache", fault, layer="last", also=("unexplained",))
    fault = {("weight", 1): lambda W, run: W.T}
    yield model.plant("weight 1 for its transpose", "transposed", fault, layer="middle", also=("upstream",))
    fault = {("data", 1): lambda g, run: g.T}
    yield model.plant("data part of weight 1 transposed", "transposed", fault, layer="middle")
    grads = changing(model.grads, **{"layers.1.weight": lambda g: g.T.copy()})
    yield model.plant("weight 1 transposed", "transposed", grads=grads, layer="middle")
    for i, layer in enumerate(LAYERS):
        fault = {("delta", i): lambda delta, run: np.concatenate([delta[:-1], 0 * delta[-1:]])}
        yield model.plant(
            f"last example dropped from delta {i}",
            "missing-path",
            fault,
            layer="all" if i == 2 else layer,
            also=("upstream", "unexplained"),
            also_with=("region",),
        )
    losses: dict[str, Hook] = {
        "softmax derivative twice": lambda delta, run: delta * run.A[-1] * (1 - run.A[-1]),
        "delta of the squared error": squared,
        "diagonal of the softmax Jacobian alone": lambda delta, run: -run.labels * (1 - run.A[-1]) / run.m,
    }
    for words, hook in losses.items():
        yield model.plant(words, "other-loss", {("delta", 2): hook}, also=("upstream", "unexplained"))


def scaled(factor: float) -> Hook:
    return lambda value, run: value * factor


def squared(delta: Array, run: Run) -> Array:
    A = run.A[-1]
    v = (A - run.labels) / run.m
    return np.asarray(A * (v - np.sum(A * v, axis=1, keepdims=True)))


def self_slope(model: Model) -> Callable[[Array], Array]:
    slope: Callable[[Array], Array] = getattr(model.grads, "__self__").slope  # noqa: B009 - unknown to mypy
    return slope


def head(run: Run, i: int, slope: Callable[[Array], Array]) -> Array:
    """The right delta of a layer, computed from the output down."""
    delta = (run.A[-1] - targets(run, run.smoothing)) / run.m
    for j in range(len(run.layers) - 1, i, -1):
        delta = delta @ run.layers[j]["weight"].T * slope(run.Z[j - 1])
    return np.asarray(delta)


def biases(model: Model) -> Iterator[Planted]:
    for i, layer in enumerate(LAYERS):
        variants: dict[str, tuple[Hook, tuple[str, ...]]] = {
            "is the mean over examples": (lambda delta, run: delta.mean(axis=0), ("factor",)),
            "is the total": (lambda delta, run: np.full(delta.shape[1], delta.sum()), ()),
            "of the first example": (lambda delta, run: delta[0].copy(), ("unexplained",)),
        }
        for words, (hook, also) in variants.items():
            fault: Fault = {("bias", i): hook}
            yield model.plant(f"bias {i} {words}", "bias-reduction", fault, layer=layer, also=also)
        fault = {("bias", i): lambda delta, run: delta.copy()}
        recipe = f"bias {i} not summed"
        yield model.plant(recipe, "unbroadcast", fault, layer=layer, also=("contract", "bias-reduction"))
    fault = {("bias", i): lambda delta, run: delta.mean(axis=0) for i in range(3)}
    yield model.plant("every bias is the mean over examples", "bias-reduction", fault, also=("factor",))


def regularisers(model: Model) -> Iterator[Planted]:
    hooks: dict[str, Hook] = {
        "missing": lambda decay, run: 0 * decay,
        "doubled": lambda decay, run: 2 * decay,
        "with the wrong sign": lambda decay, run: -decay,
        "with 1/m too many": lambda decay, run: decay / run.m,
        "halved": lambda decay, run: 0.5 * decay,
    }
    for words, hook in hooks.items():
        yield model.plant(f"weight decay {words}", "regulariser", {("decay", -1): hook})
        for i, layer in enumerate(LAYERS):
            recipe = f"weight decay {words}, layer {i}"
            yield model.plant(recipe, "regulariser", {("decay", i): hook}, layer=layer)
    fault: Fault = {
        ("decay", i): on(i, lambda decay, run, i: run.lambd * np.sign(run.layers[i]["weight"])) for i in range(3)
    }
    yield model.plant("L1 for L2", "regulariser", fault)
    fault = {
        ("bias", i): on(i, lambda delta, run, i: delta.sum(axis=0) + run.lambd * run.layers[i]["bias"])
        for i in range(3)
    }
    yield model.plant("weight decay on the biases too", "regulariser", fault)
    fault = {("bias", i): lambda delta, run: delta.sum(axis=0) + run.lambd for i in range(3)}
    yield model.plant("lambda on the biases", "regulariser", fault)


def changing_by_scale(model: Model) -> Any:
    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = model.grads(params, *data, **options)
        return {**gradient, "scale": gradient["scale"] * params["scale"]}

    return grads


def scales(model: Model) -> Iterator[Planted]:
    log = changing_by_scale(model)
    yield model.plant("gradient in the logarithm of scale", "parametrisation", grads=log, layer="first")
    alike = {**model.params, "scale": np.full_like(model.params["scale"], 2.0)}
    recipe = "gradient in the logarithm of scale where every scale is 2"
    yield model.plant(recipe, "parametrisation", grads=log, params=alike, layer="first", also_with=("factor",))
    fault: Fault = {("scale", 0): lambda per, run: per.copy()}
    also = ("contract",)
    yield model.plant("scale not summed over examples", "unbroadcast", fault, layer="first", also=also)
    fault = {("scale", 0): lambda per, run: np.full(per.shape[1], per.sum())}
    yield model.plant("scale a total over features", "unbroadcast", fault, layer="first", also_with=("bias-reduction",))
    fault = {("scale", 0): lambda per, run: per.mean(axis=0)}
    yield model.plant("scale a mean over examples", "factor", fault, layer="first", also_with=("bias-reduction",))
    grads = changing(model.grads, scale=by(3.0))
    yield model.plant("scale times 3", "factor", grads=grads, layer="first")
