"""What the planted sequence networks share: their pieces, the ways of spoiling any gradient, and the making of a fault.

The decision behind it: every network has one backward pass, which is right unless it is told the name of a fault.
Faults that any network can have (a factor, a cast to low precision, a cache that is kept too long) are written here
once, as an edit of the right gradient or as a function that keeps something between calls. Which tensors a fault makes
wrong is never written down; it is found by comparison with the right gradient.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .base import SAME, WRONG, Planted

Array = npt.NDArray[Any]
Params = dict[str, Array]
Gradients = dict[str, Any]
Data = tuple[Array, ...]
Function = Callable[..., Any]


def act(name: str, z: Array) -> Array:
    """The activation; complex where z is, so that complex steps go through it."""
    if name == "tanh":
        return np.asarray(np.tanh(z))
    if name == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-z)))
    if name == "relu":
        return np.where(z.real > 0, z, 0)
    if name == "leaky":
        return np.where(z.real > 0, z, 0.1 * z)
    raise ValueError(name)


def slope(name: str, z: Array) -> Array:
    """The derivative of the activation at z."""
    if name == "tanh":
        return np.asarray(1 - np.tanh(z) ** 2)
    if name == "sigmoid":
        a = 1 / (1 + np.exp(-z))
        return np.asarray(a * (1 - a))
    if name == "relu":
        return (z > 0).astype(float)
    if name == "leaky":
        return np.where(z > 0, 1.0, 0.1)
    raise ValueError(name)


def faulty_slope(name: str, z: Array, bug: str) -> Array:
    """The derivative as the three usual mistakes have it, the right one otherwise."""
    if bug == "activation derivative missing":
        return np.ones_like(z)
    if bug == "activation derivative at the activation":
        return slope(name, act(name, z))
    if bug == "activation derivative of another function":
        return slope("tanh" if name == "sigmoid" else "sigmoid", z)
    return slope(name, z)


def softmax(z: Array, axis: int) -> Array:
    """Along an axis, with the largest entry taken out first."""
    e = np.exp(z - z.real.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def one_hot(labels: Array, classes: int) -> Array:
    return np.asarray(np.eye(classes)[labels])


@dataclass(frozen=True)
class Network:
    """A network at a point.

    Attributes:
        cost: ``cost(params, *data, **options)``, which also takes ``variant=``, the name of a fault of its own.
        gradient: ``gradient(params, *data, **options)``, which also takes ``bug=``, the name of a fault.
        decayed: the tensors under weight decay.
        strength: of the weight decay at these options: the gradient holds strength * W.
        repeat: the fault that a second backward pass over one cache has.
    """

    name: str
    cost: Function
    gradient: Function
    params: Params
    data: Data
    examples_axis: int
    options: dict[str, Any]
    decayed: tuple[str, ...]
    strength: float
    repeat: str = "labels subtracted twice"

    @property
    def examples(self) -> int:
        return int(self.data[0].shape[self.examples_axis])

    def right(self, params: Params, *data: Array, bug: str = "", **options: Any) -> Gradients:
        """The gradient, right unless a bug is named."""
        grads: Gradients = self.gradient(params, *data, bug=bug, **options)
        return grads


Edit = Callable[[Network, Gradients, Params], Gradients]
#: Makes a new gradient function, with whatever it keeps between calls.
Maker = Callable[[Network], Function]


@dataclass(frozen=True)
class Recipe:
    """One fault in words.

    Attributes:
        bug: what the backward pass is told; by default the words.
        alike: more slugs that are right without the data.
        alike_with: more slugs that are right with the data too.
        edit: what is done to the right gradient instead.
        maker: makes the gradient function instead.
        stateful: whether that function keeps something between calls.
        variant: what the cost is told.
        options: options that differ from the network's.
        params: parameters that differ from the network's.
        data: in place of the network's.
    """

    words: str
    cause: str
    layer: str
    alike: str = ""
    alike_with: str = ""
    bug: str | None = None
    edit: Edit | None = None
    maker: Maker | None = None
    stateful: bool = True
    variant: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Array] = field(default_factory=dict)
    data: Data | None = None


def distance(right: Any, claimed: Any) -> float:
    """Relative to the right one, infinite where they cannot be compared; 0 where both are zero up to rounding."""
    if claimed is None or np.asarray(claimed).shape != np.asarray(right).shape or not np.all(np.isfinite(claimed)):
        return float("inf")
    away = float(np.linalg.norm(np.asarray(claimed, dtype=float) - right))
    return away / size if (size := float(np.linalg.norm(right))) > 0 else float("inf") if away else 0.0


def distances(right: Gradients, claimed: Mapping[str, Any]) -> dict[str, float]:
    """Of each tensor. A gradient that is zero but for rounding is measured against the whole gradient."""
    whole = float(np.sqrt(sum(float(np.sum(np.square(g))) for g in right.values())))
    answer = {}
    for name, g in right.items():
        other = claimed.get(name)
        if float(np.linalg.norm(g)) < 1e-12 * whole and other is not None and np.asarray(other).shape == g.shape:
            answer[name] = float(np.linalg.norm(np.asarray(other, dtype=float) - g)) / whole
        else:
            answer[name] = distance(g, other)
    return answer


def moved(params: Params) -> Params:
    """A point nearby."""
    rng = np.random.default_rng(7)
    return {name: p + 0.05 * rng.standard_normal(p.shape) for name, p in params.items()}


def copied(params: Params) -> Params:
    return {name: p.copy() for name, p in params.items()}


def complex_step(cost: Function, params: Params, *data: Array, **options: Any) -> Gradients:
    """The right gradient of any cost here that takes complex parameters, one evaluation for each number."""
    grads: Gradients = {name: np.empty(p.shape) for name, p in params.items()}
    for name, p in params.items():
        for index in np.ndindex(p.shape):
            changed = p.astype(complex)
            changed[index] += 1e-30j
            grads[name][index] = cost({**params, name: changed}, *data, **options).imag / 1e-30
    return grads


def mistakes(network: Network, right: Function, grads: Function, calls: int) -> dict[str, float]:
    """How far off each tensor gets.

    With one call, at the parameters. With more, as someone sees it who calls twice there, then nearby, and looks at
    everything again afterwards.
    """
    params, data = copied(network.params), tuple(d.copy() for d in network.data)
    points = [params, params, moved(params)][:calls]
    truths = [right(copied(p), *network.data, **network.options) for p in points]
    answers = []
    worst = dict.fromkeys(network.params, 0.0)
    for point, truth in zip(points, truths, strict=True):
        answers.append(grads(point, *data, **network.options))
        for name, d in distances(truth, answers[-1]).items():
            worst[name] = max(worst[name], d)
    for answer, truth in zip(answers, truths, strict=True):
        for name, d in distances(truth, answer).items():
            worst[name] = max(worst[name], d)
    return worst


def plant(network: Network, recipe: Recipe) -> tuple[Planted, bool]:
    """The network with the fault in it, and whether every tensor is either clearly wrong or right."""
    network = replace(
        network,
        options={**network.options, **recipe.options},
        params=copied({**network.params, **recipe.params}),
        data=tuple(d.copy() for d in recipe.data or network.data),
    )
    maker = recipe.maker or (_edited(recipe.edit) if recipe.edit else _told(recipe))
    cost = _cost(network, recipe.variant)
    right = partial(complex_step, cost) if recipe.variant else network.right
    stateful = recipe.maker is not None and recipe.stateful
    wrong = mistakes(network, right, maker(network), 3 if stateful else 1)
    planted = Planted(
        model=network.name,
        recipe=recipe.words,
        cause=recipe.cause,
        accepts=frozenset({recipe.cause, *recipe.alike.split(), *recipe.alike_with.split()}),
        accepts_with=frozenset({recipe.cause, *recipe.alike_with.split()}),
        layer=recipe.layer,
        tensors=tuple(name for name, d in wrong.items() if d > WRONG),
        cost=cost,
        grads=maker(network),
        params=network.params,
        data=network.data,
        examples_axis=network.examples_axis,
        options=network.options,
        fresh=partial(maker, network) if stateful else None,
        right=right,
    )
    return planted, bool(planted.tensors) and all(d > WRONG or d < SAME for d in wrong.values())


def plants(network: Network, recipes: Iterable[Recipe]) -> Iterator[Planted]:
    """Each recipe planted, but for faults that can hardly be seen here: a dead unit, a gradient that is all decay."""
    for recipe in recipes:
        planted, clear = plant(network, recipe)
        if clear or not recipe.cause:
            yield planted


def _cost(network: Network, variant: str) -> Function:
    def cost(params: Params, *data: Array, **options: Any) -> Any:
        return network.cost(params, *data, variant=variant, **options)

    return cost if variant else network.cost


def _told(recipe: Recipe) -> Maker:
    bug = recipe.words if recipe.bug is None else recipe.bug

    def make(network: Network) -> Function:
        def grads(params: Params, *data: Array, **options: Any) -> Gradients:
            return network.right(params, *data, bug=bug, **options)

        return grads

    return make


def _edited(edit: Edit) -> Maker:
    def make(network: Network) -> Function:
        def grads(params: Params, *data: Array, **options: Any) -> Gradients:
            return edit(network, network.right(params, *data, **options), params)

        return grads

    return make


def trained(network: Network, steps: int, rate: float) -> Network:
    """After a few steps of gradient descent, each halved until the cost falls."""
    params = copied(network.params)
    cost = float(network.cost(params, *network.data, **network.options))
    for _ in range(steps):
        grads = network.right(params, *network.data, **network.options)
        step = rate
        for _ in range(8):
            next_params = {name: p - step * grads[name] for name, p in params.items()}
            next_cost = float(network.cost(next_params, *network.data, **network.options))
            if next_cost < cost:
                params, cost = next_params, next_cost
                break
            step /= 4
    return replace(network, name=network.name + ", trained", params=params)


# Edits of a right gradient.


def change(names: str, how: Callable[[Array], Any]) -> Edit:
    """Does something to the tensors named, "*" for all."""

    def edit(network: Network, grads: Gradients, params: Params) -> Gradients:
        chosen = list(grads) if names == "*" else names.split()
        return {name: how(g) if name in chosen else g for name, g in grads.items()}

    return edit


def add(names: Sequence[str], term: Callable[[Network, Array], Array]) -> Edit:
    """Adds something made of the parameter."""

    def edit(network: Network, grads: Gradients, params: Params) -> Gradients:
        return {name: g + term(network, params[name]) if name in names else g for name, g in grads.items()}

    return edit


def exchange(one: str, other: str) -> Edit:
    def edit(network: Network, grads: Gradients, params: Params) -> Gradients:
        return {**grads, one: grads[other], other: grads[one]}

    return edit


def without(name: str) -> Edit:
    def edit(network: Network, grads: Gradients, params: Params) -> Gradients:
        return {other: g for other, g in grads.items() if other != name}

    return edit


def times_parameter(name: str) -> Edit:
    def edit(network: Network, grads: Gradients, params: Params) -> Gradients:
        return {**grads, name: grads[name] * params[name]}

    return edit


def with_part(name: str, index: Any, factor: float) -> Edit:
    def edit(network: Network, grads: Gradients, params: Params) -> Gradients:
        g = grads[name].copy()
        g[index] *= factor
        return {**grads, name: g}

    return edit


def with_entry(name: str, index: Any, value: float) -> Edit:
    def edit(network: Network, grads: Gradients, params: Params) -> Gradients:
        g = grads[name].copy()
        g[index] = value
        return {**grads, name: g}

    return edit


def clipped(g: Array) -> Array:
    limit = 0.4 * float(np.max(np.abs(g)))
    return np.clip(g, -limit, limit)


def through_bfloat16(g: Array) -> Array:
    """Float32 without its lower half."""
    halves = g.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return halves.view(np.float32).astype(float)


def through_small_float16(g: Array) -> Array:
    """As of a loss that was scaled down too far: the steps between float16 numbers are 6e-8 there."""
    scale = 1e-4 / float(np.max(np.abs(g)))
    return np.asarray((g * scale).astype(np.float16).astype(float) / scale)


def clipped_by_the_whole_norm(network: Network, grads: Gradients, params: Params) -> Gradients:
    whole = float(np.sqrt(sum(float(np.sum(np.square(g))) for g in grads.values())))
    return {name: g * min(1.0, 0.3 * whole / whole) for name, g in grads.items()}


# Gradient functions that keep something from call to call.


def accumulating(network: Network) -> Function:
    total: Gradients = {}

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        for name, g in network.right(params, *data, **options).items():
            total[name] = total.get(name, 0) + g
        return dict(total)

    return grads


def keeping_the_first(network: Network) -> Function:
    kept: Gradients = {}

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        kept.update(kept or network.right(params, *data, **options))
        return copied(kept)

    return grads


def behind_the_parameters(network: Network) -> Function:
    """The cache is of the parameters before the last update."""
    earlier = moved(network.params)

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        return network.right(earlier, *data, **options)

    return grads


def behind_by_a_call(network: Network) -> Function:
    """The backward pass reads the cache of the call before; the first call has only its own."""
    kept: list[Params] = []

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        kept.append(copied(params))
        return network.right(kept[max(0, len(kept) - 2)], *data, **options)

    return grads


def behind_the_options(network: Network) -> Function:
    """The weight decay of the first call stays."""
    earlier = {**network.options, "lambd": 0.25 * network.options["lambd"]}

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        return network.right(params, *data, **earlier)

    return grads


def using_up_its_cache(network: Network) -> Function:
    """The cache is spoilt by the backward pass and made anew only for other parameters."""
    last: Params = {}

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        again = bool(last) and all(np.array_equal(last[name], p) for name, p in params.items())
        last.update(copied(params))
        return network.right(params, *data, bug=network.repeat if again else "", **options)

    return grads


def from_uninitialised_memory(name: str) -> Maker:
    def make(network: Network) -> Function:
        count = iter(range(10**9))

        def grads(params: Params, *data: Array, **options: Any) -> Gradients:
            right = network.right(params, *data, **options)
            rubbish = np.random.default_rng(next(count)).standard_normal(right[name].shape)
            return {**right, name: right[name] + 0.05 * float(np.max(np.abs(right[name]))) * rubbish}

        return grads

    return make


def writing_into_the_parameters(name: str) -> Maker:
    """The weight decay is multiplied into the weights themselves, and the gradient is added there."""

    def make(network: Network) -> Function:
        def grads(params: Params, *data: Array, **options: Any) -> Gradients:
            right = network.right(params, *data, **options)
            W = params[name]
            data_term = right[name] - network.strength * W
            W *= network.strength
            W += data_term
            return {**right, name: W}

        return grads

    return make


def writing_into_the_targets(network: Network) -> Function:
    """The residual is left where the targets were."""

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        right = network.right(params, *data, **options)
        target = data[1]
        target *= 0.5
        return right

    return grads


def returning_its_buffers(network: Network) -> Function:
    """The same arrays every time, so that an earlier answer changes with a later call."""
    buffers: Gradients = {}

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        for name, g in network.right(params, *data, **options).items():
            buffers.setdefault(name, np.empty_like(g))[...] = g
        return dict(buffers)

    return grads


def in_bfloat16(network: Network) -> Function:
    """Parameters and float data lose bits on the way into the backward pass, its result on the way out."""

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        rough = {name: through_bfloat16(p) for name, p in params.items()}
        inputs = tuple(through_bfloat16(d) if d.dtype.kind == "f" else d for d in data)
        return {name: through_bfloat16(g) for name, g in network.right(rough, *inputs, **options).items()}

    return grads


def slope_recipes(activation: str, layer: str, below: str = "upstream unexplained") -> Iterator[Recipe]:
    """The mistakes that ``faulty_slope`` knows and that can be seen: the slope of ReLU at A is its slope at Z."""
    for words in ("missing", "at the activation", "of another function"):
        if words != "at the activation" or activation in ("tanh", "sigmoid"):
            yield Recipe(f"activation derivative {words}", "activation-derivative", layer, alike=below)


@dataclass(frozen=True)
class Roles:
    """Which tensors the common recipes are planted in.

    Attributes:
        first: a weight of the first layer; middle and last likewise.
        square: a square weight and the layer it is in.
        bias: a vector and the layer it is in.
        pair: two tensors of equal shape, or none.
    """

    first: str
    middle: str
    last: str
    square: tuple[str, str]
    bias: tuple[str, str]
    pair: tuple[str, str] | None


def common(network: Network, roles: Roles) -> list[Recipe]:
    """What any network can have, planted in the tensors that play these roles."""
    return [
        *_constants(network, roles),
        *_arrangements(roles),
        *_decay(network, roles),
        *_precision(roles),
        *_structure(roles),
        *_state(network, roles),
    ]


def _constants(network: Network, roles: Roles) -> Iterator[Recipe]:
    m = network.examples
    for layer, name, words, factor in (
        ("first", roles.first, "times 2", 2.0),
        ("middle", roles.middle, "times 1/m", 1 / m),
        ("last", roles.last, "times m", float(m)),
        ("middle", roles.middle, "times 1/2", 0.5),
    ):
        yield Recipe(f"d{name} {words}", "factor", layer, edit=change(name, lambda g, by=factor: g * by))  # type: ignore[misc]
    yield Recipe("the whole gradient times m", "factor", "all", edit=change("*", lambda g: g * m))
    yield Recipe("the whole gradient times 1/2", "factor", "all", edit=change("*", lambda g: g / 2))
    for layer, name in (("first", roles.first), ("middle", roles.middle), ("last", roles.last)):
        yield Recipe(f"d{name} negative", "sign", layer, edit=change(name, lambda g: -g))
    yield Recipe("the whole gradient negative", "sign", "all", edit=change("*", lambda g: -g))
    bias, layer = roles.bias
    yield Recipe(f"d{bias} negative", "sign", layer, edit=change(bias, lambda g: -g))
    yield Recipe(f"d{roles.middle} zero", "zero", "middle", edit=change(roles.middle, np.zeros_like))
    yield Recipe(f"d{roles.first} zero", "zero", "first", edit=change(roles.first, np.zeros_like))
    yield Recipe(f"d{roles.last} None", "zero", "last", alike_with="contract", edit=change(roles.last, lambda g: None))


def _arrangements(roles: Roles) -> Iterator[Recipe]:
    square, layer = roles.square
    bias, bias_layer = roles.bias
    yield Recipe(
        f"d{square} transposed", "transposed", layer, alike="permuted", edit=change(square, lambda g: g.T.copy())
    )
    yield Recipe(
        f"d{roles.first} rows rolled", "permuted", "first", edit=change(roles.first, lambda g: np.roll(g, 1, 0))
    )
    yield Recipe(
        f"d{roles.last} columns reversed", "permuted", "last", edit=change(roles.last, lambda g: g[:, ::-1].copy())
    )
    yield Recipe(f"d{bias} reversed", "permuted", bias_layer, edit=change(bias, np.flip))
    if roles.pair:
        one, other = roles.pair
        yield Recipe(f"d{one} and d{other} swapped", "swapped", "middle", edit=exchange(one, other))
    yield Recipe(f"d{roles.first} last row zero", "region", "first", alike="zero", edit=with_part(roles.first, -1, 0.0))
    yield Recipe(
        f"d{roles.last} last column zero", "region", "last", alike="zero", edit=with_part(roles.last, (..., -1), 0.0)
    )
    yield Recipe(
        f"d{roles.middle} rows from 2 on zero", "region", "middle", alike="zero",
        edit=with_part(roles.middle, slice(2, None), 0.0),
    )  # fmt: skip
    yield Recipe(
        f"d{roles.middle} first row times 3",
        "region",
        "middle",
        alike_with="factor",
        edit=with_part(roles.middle, 0, 3.0),
    )


def _decay(network: Network, roles: Roles) -> Iterator[Recipe]:
    m = network.examples
    decayed = network.decayed
    flat = tuple(name for name in network.params if name not in decayed)
    yield Recipe("weight decay missing", "regulariser", "all", edit=add(decayed, lambda n, W: -n.strength * W))
    yield Recipe("weight decay twice", "regulariser", "all", edit=add(decayed, lambda n, W: n.strength * W))
    yield Recipe("weight decay halved", "regulariser", "all", edit=add(decayed, lambda n, W: -n.strength / 2 * W))
    yield Recipe(
        "weight decay without 1/m", "regulariser", "all", edit=add(decayed, lambda n, W: n.strength * (m - 1) * W)
    )
    yield Recipe(
        "weight decay with the wrong sign", "regulariser", "all", edit=add(decayed, lambda n, W: -2 * n.strength * W)
    )
    yield Recipe("L1 for L2", "regulariser", "all", edit=add(decayed, lambda n, W: n.strength * (np.sign(W) - W)))
    yield Recipe("weight decay on the biases", "regulariser", "all", edit=add(flat, lambda n, b: n.strength * b))
    yield Recipe(
        f"weight decay missing in d{roles.middle}", "regulariser", "middle",
        edit=add((roles.middle,), lambda n, W: -n.strength * W),
    )  # fmt: skip
    yield Recipe(
        "weight decay of an earlier lambd", "stale", "all", alike="regulariser", alike_with="regulariser",
        maker=behind_the_options, stateful=False,
    )  # fmt: skip


def _precision(roles: Roles) -> Iterator[Recipe]:
    yield Recipe(f"d{roles.middle} clipped", "clipped", "middle", edit=change(roles.middle, clipped))
    yield Recipe("every tensor clipped", "clipped", "all", edit=change("*", clipped))
    yield Recipe(
        f"d{roles.first} normalised", "clipped", "first", alike="factor", alike_with="factor",
        edit=change(roles.first, lambda g: g / np.linalg.norm(g)),
    )  # fmt: skip
    yield Recipe(
        "clipped by the norm of the whole gradient", "clipped", "all", alike="factor", alike_with="factor",
        edit=clipped_by_the_whole_norm,
    )  # fmt: skip
    yield Recipe(
        f"d{roles.last} through bfloat16", "precision", "last", edit=change(roles.last, through_bfloat16)
    )  # fmt: skip
    yield Recipe(
        f"d{roles.middle} through float16 near its smallest numbers", "precision", "middle",
        edit=change(roles.middle, through_small_float16),
    )  # fmt: skip
    yield Recipe("bfloat16 inside the backward pass", "precision", "all", maker=in_bfloat16, stateful=False)


def _structure(roles: Roles) -> Iterator[Recipe]:
    bias, layer = roles.bias
    yield Recipe(f"d{roles.first} of the transposed shape", "contract", "first", edit=change(roles.first, _other_shape))
    yield Recipe(
        f"d{roles.middle} with a NaN", "contract", "middle", edit=with_entry(roles.middle, (0, 0), float("nan"))
    )
    yield Recipe(f"d{roles.last} left out", "contract", "last", alike_with="zero", edit=without(roles.last))
    yield Recipe(
        f"d{bias} in an integer buffer", "contract", layer, alike_with="precision zero",
        edit=change(bias, lambda g: g.astype(np.int64)),
    )  # fmt: skip


def _other_shape(g: Array) -> Array:
    return np.concatenate([g, g[:1]]).T


def _state(network: Network, roles: Roles) -> Iterator[Recipe]:
    yield Recipe("adds up over calls", "accumulated", "all", maker=accumulating)
    yield Recipe("keeps the first gradient", "stale", "all", maker=keeping_the_first)
    yield Recipe(
        "of the parameters before the last update", "stale", "all", alike="unexplained upstream",
        alike_with="unexplained upstream", maker=behind_the_parameters, stateful=False,
    )  # fmt: skip
    yield Recipe("of the parameters of the call before", "stale", "all", maker=behind_by_a_call)
    yield Recipe("a second pass over a spoilt cache", "not-reentrant", "all", maker=using_up_its_cache)
    yield Recipe(
        f"d{roles.middle} from uninitialised memory", "nondeterministic", "middle",
        maker=from_uninitialised_memory(roles.middle),
    )  # fmt: skip
    decayed = roles.middle if roles.middle in network.decayed else roles.last
    yield Recipe(
        f"{decayed} written over by its gradient", "aliasing", "middle", maker=writing_into_the_parameters(decayed)
    )
    if network.data[1].dtype.kind == "f":
        yield Recipe(
            "targets written over", "aliasing", "all", alike_with="not-reentrant", maker=writing_into_the_targets
        )
    yield Recipe(
        "the same arrays returned every time", "aliasing", "all", alike_with="stale", maker=returning_its_buffers
    )


def controls(network: Network) -> Iterator[Recipe]:
    """Right gradients, and gradients that only look wrong."""
    yield Recipe("right", "", "all", bug="")
    yield Recipe("right up to 1e-9", "", "all", edit=change("*", lambda g: g * (1 + 1e-9)))
    yield Recipe("right up to rounding", "", "all", edit=change("*", lambda g: np.nextafter(g, np.inf)))
    yield Recipe("right without weight decay", "", "all", bug="", options={"lambd": 0.0})
    yield Recipe("right, with more keys", "", "all", edit=_with_more_keys)
    yield Recipe("right, in the other memory order", "", "all", edit=change("*", np.asfortranarray))
    yield Recipe("right, as views that cannot be written", "", "all", edit=change("*", _read_only))


def _with_more_keys(network: Network, grads: Gradients, params: Params) -> Gradients:
    return {**grads, "Z1": np.ones((2, 3)), "A0": None}


def _read_only(g: Array) -> Array:
    view = g.view()
    view.flags.writeable = False
    return view
