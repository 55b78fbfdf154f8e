"""The course notes' network of L layers, and its faults.

Examples in columns, ``W_l`` of shape (n_l, n_{l-1}), ``b_l`` of shape (n_l, 1), cross-entropy over the batch plus
lambda/(2m) times the squares of the weights, dropout of the hidden layers with masks drawn from a seed. A fault is a
mapping of stations of the backward pass to functions ``(value, run) -> value``.
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .base import Array, Grads, Model, Planted, Tree, changing

Hook = Callable[[Array, "Run"], Any]
#: (station, layer) -> what is done there instead; layer 0 is every layer. The stations are "slope", "mask", "delta",
#: "input", "weights", "dW", "decay", "db" and "skip".
Fault = Mapping[tuple[str, int], Hook]
SIZES: dict[str, tuple[tuple[int, ...], int]] = {
    "small": ((5, 6, 6, 6, 4), 9),
    "medium": ((12, 20, 16, 16, 5), 11),
    "large": ((30, 60, 40, 40, 10), 14),
}
ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky", "elu")


def sigmoid(Z: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * Z)))


def softmax(Z: Array) -> Array:
    shifted = np.exp(Z - Z.max(axis=0, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=0, keepdims=True))


def activate(name: str, Z: Array, alpha: float) -> Array:
    match name:
        case "relu":
            return np.maximum(Z, 0)
        case "tanh":
            return np.asarray(np.tanh(Z))
        case "sigmoid":
            return sigmoid(Z)
        case "leaky":
            return np.where(Z > 0, Z, alpha * Z)
    return np.where(Z > 0, Z, alpha * np.expm1(np.minimum(Z, 0)))


def slope(name: str, Z: Array, alpha: float) -> Array:
    match name:
        case "relu":
            return np.where(Z > 0, 1.0, 0.0)
        case "tanh":
            return np.asarray(1 - np.tanh(Z) ** 2)
        case "sigmoid":
            return np.asarray(sigmoid(Z) * (1 - sigmoid(Z)))
        case "leaky":
            return np.where(Z > 0, 1.0, alpha)
    return np.where(Z > 0, 1.0, alpha * np.exp(np.minimum(Z, 0)))


@dataclass(eq=False)
class Run:
    """One pass: what the forward step has left, and what the backward step has found so far."""

    params: Mapping[str, Array]
    Y: Array
    lambd: float
    keep_prob: float
    seed: int
    alpha: float
    temperature: float
    Z: dict[int, Array] = field(default_factory=dict)
    A: dict[int, Array] = field(default_factory=dict)
    undropped: dict[int, Array] = field(default_factory=dict)
    D: dict[int, Array] = field(default_factory=dict)
    delta: dict[int, Array] = field(default_factory=dict)
    data_part: dict[int, Array] = field(default_factory=dict)

    @property
    def m(self) -> int:
        return int(self.Y.shape[1])


@dataclass(frozen=True)
class Network:
    """Sizes are in the parameters; this is everything else.

    Attributes:
        activation: of the hidden layers.
        output: "softmax" or "sigmoid".
        loss: "own" (the cross-entropy of the output) or "binary" (binary cross-entropy over a softmax).
        floor: a constant added inside the logarithm of the softmax cross-entropy.
        skip: the hidden layer to whose output the one before is added; 0 for none.
    """

    activation: str
    output: str = "softmax"
    loss: str = "own"
    floor: float = 0.0
    skip: int = 0

    def forward(
        self,
        params: Mapping[str, Array],
        X: Array,
        Y: Array,
        *,
        lambd: float = 0.0,
        keep_prob: float = 1.0,
        seed: int = 0,
        alpha: float = 1.0,
        temperature: float = 1.0,
    ) -> Run:
        run = Run(params, Y, lambd, keep_prob, seed, alpha, temperature)
        rng = np.random.default_rng(seed)
        layers = len(params) // 2
        run.A[0] = X
        for layer in range(1, layers + 1):
            Z = run.Z[layer] = params[f"W{layer}"] @ run.A[layer - 1] + params[f"b{layer}"]
            if layer == layers:
                run.A[layer] = softmax(Z / temperature) if self.output == "softmax" else sigmoid(Z / temperature)
                continue
            A = activate(self.activation, Z, alpha)
            if layer == self.skip:
                A = A + run.A[layer - 1]
            run.undropped[layer] = A
            D = run.D[layer] = np.ones(A.shape) if keep_prob == 1 else 1.0 * (rng.random(A.shape) < keep_prob)
            run.A[layer] = A * D / keep_prob
        return run

    def cost(self, params: Tree, X: Array, Y: Array, **options: Any) -> float:
        run = self.forward(params, X, Y, **options)
        layers = len(params) // 2
        Z, A, m = run.Z[layers] / run.temperature, run.A[layers], run.m
        if self.loss == "binary":
            data = -np.sum(Y * np.log(A) + (1 - Y) * np.log1p(-A)) / m
        elif self.output == "sigmoid":
            data = np.sum(np.logaddexp(0, Z) - Y * Z) / m
        elif self.floor:
            data = -np.sum(Y * np.log(A + self.floor)) / m
        else:
            top = Z.max(axis=0, keepdims=True)
            data = np.sum(Y * (top + np.log(np.sum(np.exp(Z - top), axis=0, keepdims=True)) - Z)) / m
        decay = sum(np.sum(params[f"W{layer}"] ** 2) for layer in range(1, layers + 1))
        return float(data + run.lambd / (2 * m) * decay)

    def output_delta(self, run: Run, layer: int) -> Array:
        A, Y = run.A[layer], run.Y
        if self.loss == "own" and not self.floor:
            return (A - Y) / (run.m * run.temperature)
        dA = (1 - Y) / (1 - A) - Y / A if self.loss == "binary" else -Y / (A + self.floor)
        return np.asarray(A * (dA - np.sum(dA * A, axis=0, keepdims=True)) / (run.m * run.temperature))

    def grads(self, params: Tree, X: Array, Y: Array, *, fault: Fault | None = None, **options: Any) -> Tree:
        run = self.forward(params, X, Y, **options)
        return self.backward(run, fault)

    def backward(self, run: Run, fault: Fault | None = None) -> dict[str, Any]:
        planted = fault or {}

        def at(station: str, layer: int, value: Array) -> Any:
            hook = planted.get((station, layer), planted.get((station, 0)))
            return value if hook is None else hook(value, run)

        layers = len(run.params) // 2
        gradient: dict[str, Any] = {}
        delta = at("delta", layers, self.output_delta(run, layers))
        through_skip: Array | None = None
        for layer in range(layers, 0, -1):
            run.delta[layer] = delta
            W = run.params[f"W{layer}"]
            run.data_part[layer] = at("dW", layer, delta @ at("input", layer, run.A[layer - 1]).T)
            gradient[f"W{layer}"] = run.data_part[layer] + at("decay", layer, run.lambd / run.m * W)
            gradient[f"b{layer}"] = at("db", layer, delta.sum(axis=1, keepdims=True))
            if layer == 1:
                break
            dA = at("weights", layer, W).T @ delta
            if through_skip is not None:
                dA = dA + through_skip
                through_skip = None
            below = layer - 1
            masked = planted.get(("mask", below))
            dA = dA * run.D[below] / run.keep_prob if masked is None else masked(dA, run)
            if below == self.skip:
                through_skip = at("skip", below, dA)
            act = at("slope", below, slope(self.activation, run.Z[below], run.alpha))
            delta = at("delta", below, dA * act)
        return {name: gradient[name] for name in run.params}


def initial(rng: np.random.Generator, sizes: tuple[int, ...], activation: str) -> dict[str, Array]:
    gain = {"relu": 1.4, "tanh": 1.2, "sigmoid": 3.0, "leaky": 1.4, "elu": 1.2}[activation]
    params = {}
    for layer, (inputs, units) in enumerate(itertools.pairwise(sizes), 1):
        params[f"W{layer}"] = rng.normal(size=(units, inputs)) * gain / np.sqrt(inputs)
        params[f"b{layer}"] = rng.normal(size=(units, 1)) * 0.3
    return params


def batch(rng: np.random.Generator, inputs: int, classes: int, m: int) -> tuple[Array, Array]:
    labels = rng.permutation(np.arange(m) % max(classes, 2))
    Y = np.eye(classes)[:, labels] if classes > 1 else 1.0 * labels[None, :]
    return rng.normal(size=(inputs, m)), Y


def trained(model: Model, steps: int = 40, rate: float = 0.3) -> Model:
    """The same model after a few steps of gradient descent."""
    params = model.params
    for _ in range(steps):
        gradient = model.grads(params, *model.data, **model.options)
        params = {name: params[name] - rate * gradient[name] for name in params}
    return replace(model, name=f"{model.name}, trained", params=params)


def build(seed: int, activation: str, size: str, **kind: Any) -> Model:
    rng = np.random.default_rng([seed, ACTIVATIONS.index(activation), list(SIZES).index(size)])
    sizes, m = SIZES[size]
    options: dict[str, Any] = {"lambd": 0.8}
    if activation in ("leaky", "elu"):
        options["alpha"] = 0.3 if activation == "leaky" else 0.8
    units = kind.pop("units", sizes[-1])
    network = Network(activation, **kind)
    sizes = (*sizes[:-1], units)
    name = " ".join(["course", activation, size, *(str(value) for value in kind.values() if value)])
    return Model(
        name,
        network.cost,
        network.grads,
        initial(rng, sizes, activation),
        batch(rng, sizes[0], units, m),
        1,
        options,
    )


def on(k: int, hook: Callable[[Array, Run, int], Any]) -> Hook:
    """The hook told which layer it works on."""
    return lambda value, run: hook(value, run, k)


def times(factor: float) -> Hook:
    return lambda value, run: value * factor


def planted(seed: int, activation: str = "tanh", size: str = "small") -> Iterator[Planted]:
    """Every fault that this network can have, and right gradients."""
    model = build(seed, activation, size)
    yield from controls(model)
    yield from controls(trained(model))
    yield from near_misses(seed, activation, size, model)
    yield from factors(model)
    yield from reductions(model)
    yield from regularisers(model)
    yield from signs(model)
    yield from derivatives(model, activation)
    yield from caches(model)
    yield from shuffles(model)
    yield from paths(model)
    yield from regions(model)
    yield from stateful(model)
    yield from losses(seed, activation, size, model)
    yield from numbers(model, activation)
    yield from structure(model)
    yield from dropouts(replace(model, name=f"{model.name} dropout", options={**model.options, "keep_prob": 0.7}))
    yield from skips(seed, activation, size)
    yield from unexplained(seed, model)
    for few in (factors, regularisers, signs):
        yield from few(trained(model))


#: Where a weight or bias is: the first layer, one in the middle (square in every size), the last.
WHERE = (("first", 1), ("middle", 3), ("last", 4))
#: Where a fault enters a hidden layer's delta.
HIDDEN = (("first", 1), ("middle", 2), ("last", 3))
OUTPUT = 4


def controls(model: Model) -> Iterator[Planted]:
    yield model.plant("right", "")
    unregularised = {name: value for name, value in model.options.items() if name != "lambd"}
    yield model.plant("right, no weight decay", "", options=unregularised)
    yield model.plant("right, dropout", "", options={**model.options, "keep_prob": 0.7})
    yield model.plant("right, heavy weight decay", "", options={**model.options, "lambd": 40.0})


def factors(model: Model) -> Iterator[Planted]:
    m = model.data[0].shape[1]
    for factor, words in ((2.0, "2"), (0.5, "1/2"), (m, "m"), (1 / m, "1/m")):
        for layer, k in WHERE:
            yield model.plant(
                f"dW{k} times {words}", "factor", grads=changing(model.grads, **{f"W{k}": by(factor)}), layer=layer
            )
            if factor in (2.0, 0.5):
                changed = changing(model.grads, **{f"b{k}": by(factor)})
                yield model.plant(f"db{k} times {words}", "factor", grads=changed, layer=layer)
        also = ("other-loss", "cotangent", "upstream")
        yield model.plant(f"output delta times {words}", "factor", {("delta", OUTPUT): times(factor)}, also=also)
        for layer, k in HIDDEN:
            fault = {("delta", k): times(factor)}
            yield model.plant(f"delta {k} times {words}", "factor", fault, layer=layer, also=("upstream",))
    whole = changing(model.grads, **{name: by(3.0) for name in model.params})
    yield model.plant("everything times 3", "factor", grads=whole, also=("other-loss", "upstream"))
    fault = {("dW", 3): times(2.0)}
    yield model.plant("data part of dW3 times 2", "factor", fault, layer="middle")


def by(factor: float) -> Callable[[Array], Array]:
    return lambda value: value * factor


def reductions(model: Model) -> Iterator[Planted]:
    variants: dict[str, tuple[Hook, tuple[str, ...]]] = {
        "is the mean over examples": (lambda db, run: db / run.m, ("factor",)),
        "is the total over units": (lambda db, run: np.full_like(db, db.sum()), ()),
    }
    for words, (hook, also) in variants.items():
        for layer, k in WHERE:
            yield model.plant(f"db{k} {words}", "bias-reduction", {("db", k): hook}, layer=layer, also=also)
        yield model.plant(f"every db {words}", "bias-reduction", {("db", 0): hook}, also=also)
    for layer, k in WHERE:
        first = {("db", k): on(k, lambda db, run, k: run.delta[k][:, :1])}
        yield model.plant(f"db{k} of the first example", "bias-reduction", first, layer=layer, also=("unexplained",))
        total = {("db", k): on(k, lambda db, run, k: run.data_part[k].sum(axis=1, keepdims=True))}
        yield model.plant(f"db{k} is dW{k} summed", "bias-reduction", total, layer=layer, also=("unexplained",))


def regularisers(model: Model) -> Iterator[Planted]:
    hooks: dict[str, Hook] = {
        "missing": lambda decay, run: 0.0 * decay,
        "doubled": lambda decay, run: 2.0 * decay,
        "with the wrong sign": lambda decay, run: -decay,
        "without 1/m": lambda decay, run: run.m * decay,
        "halved": lambda decay, run: 0.5 * decay,
    }
    for words, hook in hooks.items():
        yield model.plant(f"weight decay {words}", "regulariser", {("decay", 0): hook})
    for words in ("missing", "doubled"):
        for layer, k in WHERE:
            fault = {("decay", k): hooks[words]}
            yield model.plant(f"weight decay {words} in W{k}", "regulariser", fault, layer=layer)
    fault = {
        ("decay", k): on(k, lambda decay, run, k: run.lambd / run.m * np.sign(run.params[f"W{k}"])) for k in range(1, 5)
    }
    yield model.plant("L1 for L2", "regulariser", fault)
    fault = {("db", k): on(k, lambda db, run, k: db + run.lambd / run.m * run.params[f"b{k}"]) for k in range(1, 5)}
    yield model.plant("weight decay on the biases too", "regulariser", fault)
    yield model.plant("lambda/m on the biases", "regulariser", {("db", 0): lambda db, run: db + run.lambd / run.m})


def signs(model: Model) -> Iterator[Planted]:
    for layer, k in WHERE:
        yield model.plant(f"dW{k} negated", "sign", grads=changing(model.grads, **{f"W{k}": by(-1.0)}), layer=layer)
        yield model.plant(f"db{k} negated", "sign", grads=changing(model.grads, **{f"b{k}": by(-1.0)}), layer=layer)
    yield model.plant(
        "everything negated", "sign", grads=changing(model.grads, **{name: by(-1.0) for name in model.params})
    )
    yield model.plant("Y - A", "sign", {("delta", OUTPUT): times(-1.0)}, also=("upstream",))
    for layer, k in HIDDEN:
        yield model.plant(f"delta {k} negated", "sign", {("delta", k): times(-1.0)}, layer=layer, also=("upstream",))


def derivatives(model: Model, activation: str) -> Iterator[Planted]:
    other = {"tanh": "sigmoid", "sigmoid": "tanh", "relu": "tanh", "leaky": "relu", "elu": "relu"}[activation]
    for layer, k in HIDDEN:
        hooks: dict[str, Hook] = {"missing": lambda act, run: np.ones_like(act)}
        if activation not in ("relu", "leaky"):
            # The same for a ReLU: its A is positive where its Z is.
            hooks["at A instead of Z"] = on(k, lambda act, run, k: slope(activation, run.A[k], run.alpha))
        hooks[f"of a {other}"] = on(k, lambda act, run, k: slope(other, run.Z[k], run.alpha))
        if activation == "tanh":
            hooks["A(1 - A)"] = on(k, lambda act, run, k: run.A[k] * (1 - run.A[k]))
            hooks["1 - A without the square"] = on(k, lambda act, run, k: 1 - run.A[k])
        if activation == "sigmoid":
            hooks["1 - A"] = on(k, lambda act, run, k: 1 - run.A[k])
        if activation == "relu":
            hooks["1 where negative"] = on(k, lambda act, run, k: 1 - act)
            hooks["A"] = on(k, lambda act, run, k: run.A[k])
        if activation == "elu":
            hooks["Z + alpha where negative"] = on(k, lambda act, run, k: np.where(act == 1, act, run.Z[k] + run.alpha))
        if activation == "leaky":
            hooks["negated where negative"] = on(k, lambda act, run, k: np.where(act == 1, act, -act))
        for words, hook in hooks.items():
            also_with = ("aliasing",) if words == "at A instead of Z" else ()
            yield model.plant(
                f"activation derivative {words}, layer {k}",
                "activation-derivative",
                {("slope", k): hook},
                layer=layer,
                also=("upstream",),
                also_with=also_with,
            )
    fault = {("slope", 3): lambda act, run: slope(activation, run.Z[2], run.alpha)}
    recipe = "activation derivative at Z of the layer before, layer 3"
    yield model.plant(recipe, "activation-derivative", fault, layer="last", also=("upstream", "wrong-cache"))
    missing = {("slope", 0): lambda act, run: np.ones_like(act)}
    yield model.plant("activation derivative missing everywhere", "activation-derivative", missing, also=("upstream",))
    if activation == "leaky":
        fault = {("slope", 0): lambda act, run: np.where(act == 1, act, 0.01)}
        recipe = "slope 0.01 in the backward whatever alpha is"
        yield model.plant(recipe, "configuration", fault, also=("activation-derivative", "upstream"))
    if activation == "elu":
        fault = {("slope", k): on(k, lambda act, run, k: slope("elu", run.Z[k], 1.0)) for k in range(1, 4)}
        recipe = "alpha 1 in the backward whatever alpha is"
        yield model.plant(recipe, "configuration", fault, also=("activation-derivative", "upstream"))


def caches(model: Model) -> Iterator[Planted]:
    for layer, k in (("first", 2), ("middle", 3), ("last", 4)):
        fault = {("input", k): on(k, lambda A, run, k: run.Z[k - 1])}
        yield model.plant(f"dW{k} with Z{k - 1} for A{k - 1}", "wrong-cache", fault, layer=layer, also=("unexplained",))
    fault = {("input", 4): lambda A, run: run.A[2]}
    yield model.plant("dW4 with A2 for A3", "wrong-cache", fault, layer="last", also=("unexplained",))
    fault = {("db", 3): lambda db, run: delta_of_next(run, 3)}
    yield model.plant(
        "db3 of W4.T delta4", "wrong-cache", fault, layer="middle", also=("activation-derivative", "unexplained")
    )
    for layer, k in (("first", 2), ("middle", 3), ("last", 4)):
        fault = {("weights", k): on(k, lambda W, run, k: run.data_part[k])}
        recipe = f"dW{k} for W{k} in the step to layer {k - 1}"
        yield model.plant(recipe, "wrong-cache", fault, layer=layer, also=("upstream",))
    rate = 0.5
    for layer, k in (("first", 2), ("middle", 3), ("last", 4)):
        early: Fault = {("weights", k): on(k, lambda W, run, k: W - rate * (run.data_part[k] + run.lambd / run.m * W))}
        yield model.plant(f"W{k} updated before use", "early-update", early, layer=layer, also=("upstream",))
    early = {
        ("weights", k): on(k, lambda W, run, k: W - rate * (run.data_part[k] + run.lambd / run.m * W))
        for k in range(1, 5)
    }
    yield model.plant("every W updated before use", "early-update", early, also=("upstream",))


def delta_of_next(run: Run, k: int) -> Array:
    return np.asarray((run.params[f"W{k + 1}"].T @ run.delta[k + 1]).sum(axis=1, keepdims=True))


def shuffles(model: Model) -> Iterator[Planted]:
    right, params = model.grads, model.params
    square = [(layer, k) for layer, k in (*HIDDEN, ("last", 4)) if len(set(params[f"W{k}"].shape)) == 1]
    for _, k in square:
        # The layers that are square are in the middle of the network.
        yield model.plant(
            f"dW{k} transposed", "transposed", grads=changing(right, **{f"W{k}": lambda g: g.T.copy()}), layer="middle"
        )
        fault: Fault = {("dW", k): lambda g, run: g.T}
        yield model.plant(f"data part of dW{k} transposed", "transposed", fault, layer="middle")
        fault = {("weights", k): lambda W, run: W.T}
        yield model.plant(
            f"W{k} for its transpose in the step back", "transposed", fault, layer="middle", also=("upstream",)
        )
    moves: dict[str, Callable[[Array], Array]] = {
        "rows rolled": lambda g: np.roll(g, 1, axis=0),
        "rows reversed": lambda g: g[::-1].copy(),
        "columns reversed": lambda g: g[:, ::-1].copy(),
        "columns rolled": lambda g: np.roll(g, -1, axis=1),
        "both axes reversed": lambda g: g[::-1, ::-1].copy(),
        "first two rows exchanged": lambda g: np.concatenate([g[1::-1], g[2:]]),
        "columns shuffled": lambda g: g[:, np.random.default_rng(5).permutation(g.shape[1])],
        "reshaped in Fortran's order": lambda g: g.ravel(order="F").reshape(g.shape),
    }
    for words, move in moves.items():
        for layer, k in WHERE:
            if words.startswith("reshaped") and k == 3:
                continue  # of a square array this is the transpose
            grads = changing(right, **{f"W{k}": move})
            yield model.plant(f"dW{k} with {words}", "permuted", grads=grads, layer=layer)
    fault = {("dW", 3): lambda g, run: np.roll(g, 1, axis=0)}
    yield model.plant("data part of dW3 with rows rolled", "permuted", fault, layer="middle")
    yield model.plant("db2 reversed", "permuted", grads=changing(right, b2=lambda g: g[::-1].copy()), layer="middle")
    names = list(params)
    for one, other in itertools.combinations(names, 2):
        if params[one].shape == params[other].shape:
            yield model.plant(
                f"d{one} and d{other} exchanged", "swapped", grads=exchanging(right, one, other), layer="middle"
            )


def exchanging(right: Grads, one: str, other: str) -> Grads:
    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = right(params, *data, **options)
        return {**gradient, one: gradient[other], other: gradient[one]}

    return grads


def paths(model: Model) -> Iterator[Planted]:
    def without_last(value: Array, run: Run) -> Array:
        return np.concatenate([value[:, :-1], 0 * value[:, -1:]], axis=1)

    also = ("upstream", "unexplained")
    for layer, k in (("all", OUTPUT), *HIDDEN):
        recipe = f"last example dropped from delta {k}"
        yield model.plant(
            recipe, "missing-path", {("delta", k): without_last}, layer=layer, also=also, also_with=("region",)
        )
    for layer, k in WHERE:
        zero = changing(model.grads, **{f"W{k}": np.zeros_like})
        yield model.plant(f"dW{k} zero", "zero", grads=zero, layer=layer)
        zero = changing(model.grads, **{f"b{k}": np.zeros_like})
        yield model.plant(f"db{k} zero", "zero", grads=zero, layer=layer)
        fault: Fault = {("dW", k): times(0.0)}
        yield model.plant(f"dW{k} of the weight decay alone", "zero", fault, layer=layer)
        none = changing(model.grads, **{f"W{k}": lambda g: None})
        yield model.plant(f"dW{k} is None", "zero", grads=none, layer=layer, also_with=("contract",))
    for layer, k in HIDDEN:
        yield model.plant(f"severed at layer {k}", "zero", {("delta", k): times(0.0)}, layer=layer, also=("upstream",))
    everything = changing(model.grads, **dict.fromkeys(model.params, np.zeros_like))
    yield model.plant("everything zero", "zero", grads=everything)


def regions(model: Model) -> Iterator[Planted]:
    def zeroed(*where: slice) -> Callable[[Array], Array]:
        def change(g: Array) -> Array:
            g = g.copy()
            g[where] = 0
            return g

        return change

    def entry(g: Array) -> Array:
        g = g.copy()
        g.flat[np.argmax(np.abs(g))] *= 1.5
        return g

    def row(g: Array) -> Array:
        g = g.copy()
        g[-1] *= 3
        return g

    every = slice(None)
    for layer, k in WHERE:
        rows, columns = model.params[f"W{k}"].shape
        variants: dict[str, Callable[[Array], Array]] = {
            "last columns zero": zeroed(every, slice(3 * columns // 4, None)),
            "last row zero": zeroed(slice(rows - 1, None)),
            "every second row zero": zeroed(slice(None, None, 2)),
            "a tile zero": zeroed(slice(rows // 2, None), slice(columns // 2, None)),
        }
        for words, change in variants.items():
            yield model.plant(
                f"dW{k}: {words}", "region", grads=changing(model.grads, **{f"W{k}": change}), layer=layer
            )
        for words, change in {"the largest entry times 1.5": entry, "last row times 3": row}.items():
            grads = changing(model.grads, **{f"W{k}": change})
            yield model.plant(f"dW{k}: {words}", "region", grads=grads, layer=layer, also_with=("factor",))
    fault: Fault = {("dW", 3): lambda g, run: np.concatenate([g[:, :-2], 0 * g[:, -2:]], axis=1)}
    yield model.plant("data part of dW3: last columns zero", "region", fault, layer="middle")
    yield model.plant("upper triangle of dW3", "region", grads=changing(model.grads, W3=np.triu), layer="middle")


def stateful(model: Model) -> Iterator[Planted]:
    right, first = model.grads, model

    def adding(names: tuple[str, ...], calls: int) -> Callable[[], Grads]:
        def fresh() -> Grads:
            total: dict[str, Array] = {}

            def grads(params: Tree, *data: Array, **options: Any) -> Tree:
                gradient = right(params, *data, **options)
                for name in names:
                    total[name] = total.get(name, 0.0) + gradient[name]
                return {**gradient, **total}

            for _ in range(calls):
                grads(first.params, *first.data, **first.options)
            return grads

        return fresh

    everything = tuple(model.params)
    yield model.plant("added up over calls", "accumulated", fresh=adding(everything, 0))
    yield model.plant("added up over calls, called before", "accumulated", fresh=adding(everything, 1))
    for layer, k in WHERE:
        yield model.plant(f"dW{k} added up over calls", "accumulated", fresh=adding((f"W{k}",), 0), layer=layer)

    def racing() -> Grads:
        calls = itertools.count()

        def grads(params: Tree, *data: Array, **options: Any) -> Tree:
            gradient = right(params, *data, **options)
            rng = np.random.default_rng(next(calls))
            return {**gradient, "W2": gradient["W2"] * (rng.random(gradient["W2"].shape) > 0.3)}

        return grads

    yield model.plant("additions to dW2 lost at random", "nondeterministic", fresh=racing, layer="middle")

    def noisy() -> Grads:
        calls = itertools.count()

        def grads(params: Tree, *data: Array, **options: Any) -> Tree:
            rng = np.random.default_rng(next(calls))
            gradient = right(params, *data, **options)
            return {name: g * (1 + 0.01 * rng.normal(size=g.shape)) for name, g in gradient.items()}

        return grads

    yield model.plant("every call off at random by a percent", "nondeterministic", fresh=noisy)

    earlier = {name: 0.8 * value + 0.02 for name, value in model.params.items()}

    def remembering() -> Grads:
        known: dict[int, Tree] = {}

        def grads(params: Tree, *data: Array, **options: Any) -> Tree:
            m = data[0].shape[1]
            if m not in known:
                known[m] = right(params, *data, **options)
            return copy.deepcopy(known[m])

        grads(earlier, *first.data, **first.options)
        return grads

    yield model.plant("gradient of the first call's parameters", "stale", fresh=remembering)

    network = owner(model)

    def caching() -> Grads:
        known: dict[int, Run] = {}

        def grads(params: Tree, X: Array, Y: Array, **options: Any) -> Tree:
            m = X.shape[1]
            if m not in known:
                known[m] = network.forward(copy.deepcopy(params), X.copy(), Y.copy(), **options)
            run = copy.copy(known[m])
            return network.backward(replace(run, params=params, lambd=options.get("lambd", 0.0)))

        grads(earlier, *first.data, **first.options)
        return grads

    yield model.plant("activations of the first call's parameters", "stale", fresh=caching)

    def fixed_lambda() -> Grads:
        known: list[float] = [0.5 * model.options["lambd"]]

        def grads(params: Tree, *data: Array, **options: Any) -> Tree:
            return right(params, *data, **{**options, "lambd": known[0]})

        return grads

    yield model.plant(
        "lambd of the first call", "stale", fresh=fixed_lambda, also=("regulariser",), also_with=("regulariser",)
    )

    def spoiling() -> Grads:
        known: dict[tuple[bytes, ...], Run] = {}

        def grads(params: Tree, X: Array, Y: Array, **options: Any) -> Tree:
            key = tuple(np.asarray(value).tobytes() for value in (*params.values(), X, Y, options.get("lambd", 0.0)))
            if key not in known:
                known[key] = network.forward(copy.deepcopy(params), X.copy(), Y.copy(), **options)
            run = known[key]
            dZ = run.A[OUTPUT]
            gradient = network.backward(run)
            dZ -= Y
            return gradient

        return grads

    yield model.plant(
        "dZ is the cached output, changed in place", "not-reentrant", fresh=spoiling, also_with=("aliasing",)
    )

    def labels() -> Grads:
        def grads(params: Tree, X: Array, Y: Array, **options: Any) -> Tree:
            run = network.forward(params, X, Y, **options)
            gradient = network.backward(run)
            Y[...] = run.A[OUTPUT] - Y
            return gradient

        return grads

    yield model.plant("labels changed in place", "aliasing", fresh=labels, also=("not-reentrant",))

    def stepping() -> Grads:
        def grads(params: Tree, *data: Array, **options: Any) -> Tree:
            gradient = right(params, *data, **options)
            for name, value in params.items():
                value -= 0.5 * gradient[name]
            return gradient

        return grads

    yield model.plant(
        "parameters updated in place by the backward", "aliasing", fresh=stepping, also=("not-reentrant",)
    )


def owner(model: Model) -> Network:
    network: Network = getattr(model.grads, "__self__")  # noqa: B009 - mypy does not know bound methods' owners
    return network


def losses(seed: int, activation: str, size: str, model: Model) -> Iterator[Planted]:
    also = ("upstream", "unexplained")

    def squared(delta: Array, run: Run) -> Array:
        A = run.A[OUTPUT]
        v = (A - run.Y) / run.m
        return np.asarray(A * (v - np.sum(A * v, axis=0, keepdims=True)))

    hooks: dict[str, Hook] = {
        "delta of the squared error": squared,
        "softmax derivative twice": lambda delta, run: delta * run.A[OUTPUT] * (1 - run.A[OUTPUT]),
        "diagonal of the softmax Jacobian alone": lambda delta, run: -run.Y * (1 - run.A[OUTPUT]) / run.m,
    }
    for words, hook in hooks.items():
        yield model.plant(words, "other-loss", {("delta", OUTPUT): hook}, also=also)
    sibling = build(seed, activation, size, loss="binary")
    yield sibling.plant("right", "")
    yield sibling.plant("A - Y for binary cross-entropy over a softmax", "other-loss", grads=model.grads, also=also)
    logistic = build(seed, activation, size, output="sigmoid")
    yield logistic.plant("right", "")
    hooks = {
        "delta of the squared error": lambda delta, run: delta * run.A[OUTPUT] * (1 - run.A[OUTPUT]),
        "the (1 - Y) half of the cross-entropy forgotten": lambda delta, run: -run.Y * (1 - run.A[OUTPUT]) / run.m,
    }
    for words, hook in hooks.items():
        yield logistic.plant(words, "other-loss", {("delta", OUTPUT): hook}, also=also)
    for few in (factors, reductions, regularisers, signs):
        yield from few(logistic)
    floored = build(seed, activation, size, floor=1e-2)
    yield floored.plant("right", "")
    also_floor = ("other-loss", "upstream", "unexplained")
    yield floored.plant(
        "an epsilon inside the logarithm of the cost only", "stabiliser", grads=model.grads, also=also_floor
    )
    warm = replace(model, name=f"{model.name} temperature", options={**model.options, "temperature": 2.5})
    yield warm.plant("right", "")
    fault: Fault = {("delta", OUTPUT): lambda delta, run: delta * run.temperature}
    yield warm.plant(
        "temperature in the forward only", "configuration", fault, also=("factor", "upstream"), also_with=("factor",)
    )


def numbers(model: Model, activation: str) -> Iterator[Planted]:
    right = model.grads

    def half(value: Array) -> Array:
        return np.asarray(value.astype(np.float16).astype(np.float64))

    def brain(value: Array) -> Array:
        bits = (value.astype(np.float32).view(np.uint32) + np.uint32(0x8000)) & np.uint32(0xFFFF0000)
        return np.asarray(bits.view(np.float32).astype(np.float64))

    names = list(model.params)
    # Not the biases: of so few numbers some are hardly changed by float16.
    rounded = changing(right, **{name: half for name in names if name.startswith("W")})
    yield model.plant("every dW rounded to float16", "precision", grads=rounded)
    rounded = changing(right, **dict.fromkeys(names, brain))
    yield model.plant("everything rounded to bfloat16", "precision", grads=rounded)
    for layer, k in WHERE:
        rounded = changing(right, **{f"W{k}": half})
        yield model.plant(f"dW{k} rounded to float16", "precision", grads=rounded, layer=layer)
    for layer, k in (("all", OUTPUT), *HIDDEN[1:]):
        fault: Fault = {("delta", k): lambda delta, run: brain(delta)}
        also = ("upstream", "unexplained")
        recipe, bare = f"delta {k} rounded to bfloat16", {**model.options, "lambd": 0.0}
        yield model.plant(recipe, "precision", fault, layer=layer, options=bare, also=also)

    for layer, k in WHERE:
        bound = float(np.quantile(np.abs(model.right_leaf(f"W{k}")), 0.6))
        clip = changing(right, **{f"W{k}": clipping(bound)})
        yield model.plant(f"dW{k} clipped by value", "clipped", grads=clip, layer=layer)
        unit = changing(right, **{f"W{k}": lambda g: g / np.linalg.norm(g)})
        yield model.plant(f"dW{k} normalised", "clipped", grads=unit, layer=layer, also=("factor",))
    bound = float(np.quantile(np.concatenate([np.abs(model.right_leaf(name)).ravel() for name in names]), 0.8))
    clip = changing(right, **{name: clipping(bound) for name in names})
    yield model.plant("everything clipped by value", "clipped", grads=clip)

    def global_norm(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = right(params, *data, **options)
        norm = np.sqrt(sum(float(np.sum(g**2)) for g in gradient.values()))
        return {name: 0.1 * g / norm for name, g in gradient.items()}

    yield model.plant("everything scaled to norm 0.1", "clipped", grads=global_norm, also=("factor",))

    X, Y = model.data
    zeros = X.copy()
    zeros[0, 1] = zeros[2, 3] = 0

    def by_zero(A: Array, run: Run) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(A * A / A)

    fault = {("input", 1): by_zero}
    yield model.plant(
        "division by an input that is zero", "singular", fault, layer="first", data=(zeros, Y), also=("contract",)
    )
    if activation == "relu":
        for layer, k in HIDDEN:
            fault = {("slope", k): on(k, lambda act, run, k: by_zero(run.A[k], run) / by_zero(run.A[k], run))}
            recipe = f"derivative of the ReLU as A/A, layer {k}"
            yield model.plant(
                recipe, "singular", fault, layer=layer, also=("contract", "upstream"), also_with=("contract",)
            )

    def exponentials(act: Array, run: Run) -> Array:
        Z = run.Z[1]
        with np.errstate(all="ignore"):
            if activation == "sigmoid":
                return np.asarray(np.exp(-Z) / (1 + np.exp(-Z)) ** 2)
            A = (np.exp(Z) - np.exp(-Z)) / (np.exp(Z) + np.exp(-Z))
            return np.asarray(1 - A**2)

    if activation in ("tanh", "sigmoid"):
        steep = {
            **model.params,
            "W1": model.params["W1"] * np.where(np.arange(len(model.params["W1"])) == 0, 4e3, 1.0)[:, None],
        }
        yield model.plant(
            "derivative from exponentials that overflow, layer 1",
            "overflow",
            {("slope", 1): exponentials},
            layer="first",
            params=steep,
            options={**model.options, "lambd": 0.0},
            also=("contract", "singular", "upstream"),
        )

    def naive(delta: Array, run: Run) -> Array:
        with np.errstate(all="ignore"):
            A = np.exp(run.Z[OUTPUT])
            return np.asarray((A / A.sum(axis=0, keepdims=True) - run.Y) / run.m)

    certain = {**model.params, "W4": model.params["W4"] * 4e3}
    yield model.plant(
        "softmax of large logits without a shift in the backward",
        "overflow",
        {("delta", OUTPUT): naive},
        params=certain,
        options={**model.options, "lambd": 0.0},
        also=("contract", "singular", "upstream"),
    )


def clipping(bound: float) -> Callable[[Array], Array]:
    return lambda g: np.clip(g, -bound, bound)


def structure(model: Model) -> Iterator[Planted]:
    right = model.grads

    def with_nan(g: Array) -> Array:
        g = g.copy()
        g[0, 0] = np.nan
        return g

    for layer, k in WHERE:
        grads = changing(right, **{f"W{k}": lambda g: g[:-1]})
        yield model.plant(f"dW{k} a row short", "contract", grads=grads, layer=layer)
        grads = changing(right, **{f"W{k}": lambda g: ...})
        yield model.plant(f"dW{k} absent", "contract", grads=grads, layer=layer, also_with=("zero",))
        grads = changing(right, **{f"W{k}": with_nan})
        yield model.plant(f"dW{k} with a NaN", "contract", grads=grads, layer=layer, also_with=("singular",))
        fault: Fault = {("db", k): on(k, lambda db, run, k: run.delta[k])}
        yield model.plant(
            f"db{k} not summed over examples", "unbroadcast", fault, layer=layer, also=("contract", "bias-reduction")
        )


def dropouts(model: Model) -> Iterator[Planted]:
    def unscaled(k: int) -> Hook:
        return lambda dA, run: dA * run.D[k]

    hooks: dict[str, Callable[[int], Hook]] = {
        "mask missing": lambda k: lambda dA, run: dA / run.keep_prob,
        "mask and 1/keep_prob missing": lambda k: lambda dA, run: dA,
        "1/keep_prob missing": unscaled,
        "1/keep_prob twice": lambda k: lambda dA, run: dA * run.D[k] / run.keep_prob**2,
        "mask rolled by one example": lambda k: lambda dA, run: dA * np.roll(run.D[k], 1, axis=1) / run.keep_prob,
        "mask drawn anew": lambda k: lambda dA, run: dA * redrawn(run, k) / run.keep_prob,
    }
    for words, make in hooks.items():
        also = ("upstream", "factor") if "1/keep_prob" in words and "mask" not in words else ("upstream",)
        for layer, k in HIDDEN:
            yield model.plant(f"{words}, layer {k}", "dropout", {("mask", k): make(k)}, layer=layer, also=also)
        yield model.plant(f"{words} everywhere", "dropout", {("mask", k): make(k) for _, k in HIDDEN}, also=also)
    fault: Fault = {("input", 4): lambda A, run: run.undropped[3]}
    yield model.plant(
        "dW4 with A3 before dropout", "wrong-cache", fault, layer="last", also=("unexplained",), also_with=("dropout",)
    )
    for few in (factors, signs):
        yield from few(model)


def redrawn(run: Run, k: int) -> Array:
    return 1.0 * (np.random.default_rng([run.seed, k, 99]).random(run.D[k].shape) < run.keep_prob)


def skips(seed: int, activation: str, size: str) -> Iterator[Planted]:
    model = build(seed, activation, size, skip=3)
    yield from controls(model)
    missing: Fault = {("skip", 3): times(0.0)}
    yield model.plant(
        "skip connection forgotten", "missing-path", missing, layer="middle", also=("upstream", "unexplained")
    )
    twice: Fault = {("skip", 3): times(2.0)}
    yield model.plant(
        "skip connection counted twice",
        "accumulated",
        twice,
        layer="middle",
        also=("upstream", "unexplained", "factor"),
    )
    shared: Fault = {("skip", 3): lambda dA, run: dA * slope(activation, run.Z[3], run.alpha)}
    recipe = "dA3 multiplied in place before the skip connection uses it"
    also = ("upstream", "unexplained", "activation-derivative")
    yield model.plant(recipe, "aliasing", shared, layer="middle", also=also)


def unexplained(seed: int, model: Model) -> Iterator[Planted]:
    def noise(g: Array, scale: float) -> Array:
        rng = np.random.default_rng([seed, 3, g.size])
        return np.asarray(g + scale * np.sqrt(np.mean(g**2)) * rng.normal(size=g.shape))

    def thinned(g: Array) -> Array:
        return np.asarray(g * (np.random.default_rng([seed, 4, g.size]).random(g.shape) < 0.5))

    for layer, k in WHERE:
        changes: dict[str, tuple[Callable[[Array], Array], tuple[str, ...]]] = {
            "off at random by a thousandth": (lambda g: noise(g, 1e-3), ("precision",)),
            "off at random": (lambda g: noise(g, 1.0), ()),
            "without a random half": (thinned, ("region",)),
        }
        for words, (change, also) in changes.items():
            grads = changing(model.grads, **{f"W{k}": change})
            yield model.plant(f"dW{k} {words}", "unexplained", grads=grads, layer=layer, also_with=also)


def near_misses(seed: int, activation: str, size: str, model: Model) -> Iterator[Planted]:
    """Right gradients that look as if something were wrong, and mistakes that make no difference here."""
    right, options, params = model.grads, model.options, model.params
    yield model.plant("everything times 1.0", "", grads=changing(right, **{name: by(1.0) for name in params}))
    yield model.plant("off by 1e-10", "", grads=changing(right, **{name: by(1 + 1e-10) for name in params}))
    missing: Fault = {("decay", 0): times(0.0)}
    yield model.plant("weight decay missing where lambd is 0", "", missing, options={**options, "lambd": 0.0})
    yield model.plant("weight decay missing where lambd is 1e-12", "", missing, options={**options, "lambd": 1e-12})
    flat = {name: np.zeros_like(value) if name.startswith("b") else value for name, value in params.items()}
    smooth = activation in ("tanh", "sigmoid")
    if smooth:
        decayed: Fault = {
            ("db", k): on(k, lambda db, run, k: db + run.lambd / run.m * run.params[f"b{k}"]) for k in range(1, 5)
        }
        yield model.plant("weight decay on biases that are 0", "", decayed, params=flat)
    symmetric = {**params, "W3": (params["W3"] + params["W3"].T) / 2}
    yield model.plant("symmetric W3 not transposed", "", {("weights", 3): lambda W, run: W.T}, params=symmetric)
    unmasked: Fault = {("mask", k): lambda dA, run: dA for k in range(1, 4)}
    yield model.plant("dropout mask missing where keep_prob is 1", "", unmasked, options={**options, "keep_prob": 1.0})
    if activation == "relu":
        fault: Fault = {
            ("slope", k): on(k, lambda act, run, k: slope("relu", run.A[k], run.alpha)) for k in range(1, 4)
        }
        yield model.plant("derivative of the ReLU at A", "", fault)
    X, Y = model.data
    one = (X[:, :1].copy(), Y[:, :1].copy())
    yield model.plant("db a mean over one example", "", {("db", 0): lambda db, run: db / run.m}, data=one)
    yield model.plant("right, one example", "", data=one)
    twice = (np.concatenate([X, X], axis=1), np.concatenate([Y, Y], axis=1))
    yield model.plant("right, every example twice", "", data=twice)
    warm = {**options, "temperature": 1.0}
    yield model.plant(
        "temperature 1 in the forward only", "", {("delta", OUTPUT): lambda d, run: d * run.temperature}, options=warm
    )
    yield model.plant("db as flat vectors", "", grads=changing(right, **{f"b{k}": np.ravel for k in range(1, 5)}))
    single = build(seed, activation, size, output="sigmoid", units=1)
    yield single.plant("right, one output", "")
    fault = {("db", 4): lambda db, run: np.full_like(db, db.sum())}
    yield single.plant("db4 a total over one unit", "", fault)
    if smooth:
        alike = {
            name: np.full_like(value, 0.1) if name in ("W1", "b1", "W2", "b2") else value
            for name, value in params.items()
        }
        yield model.plant("right, rows all alike", "", params=alike)
        tiny = {name: 1e-3 * value for name, value in params.items()}
        yield model.plant("right, tiny parameters", "", params=tiny)

    def extra(params: Tree, *data: Array, **options: Any) -> Tree:
        return {"dZ1": np.ones((3, 2)), **{f"d{name}": g for name, g in right(params, *data, **options).items()}}

    yield Planted(**{**vars(model.plant("right", "")), "recipe": "right, keys with d and an extra one", "grads": extra})
