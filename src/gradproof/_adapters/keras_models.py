"""Models of Keras 3, on whichever of its backends: a cost of one becomes a cost of its trainable variables.

The decision behind it: a model reads its variables itself, so they are not handed over but exchanged. On TensorFlow a
variable is a place, and the place is exchanged when what was traced is run; on JAX and PyTorch Keras's own scope says
which arrays stand for which variables. Either way the engine and the adapters see a nesting of arrays by path.
"""

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradproof._adapters.reach import walk
from gradproof._errors import InputError

DOING = "setting up the check of a model"
#: How far from a function, and among how many things, further models are looked for.
DEPTH, MOST = 4, 1000


def is_keras_model(value: Any) -> bool:
    """Whether a value is a layer or model of Keras 3."""
    layer = getattr(getattr(sys.modules.get("keras"), "layers", None), "Layer", None)
    return layer is not None and isinstance(value, layer)


@dataclass(frozen=True)
class Exchanged:
    """A function of a model as one of its variables.

    Attributes:
        function: ``function(model, *args, **options)``.
        model: the user's model.
        variables: its trainable variables by name.
        inputs: which of the arguments are moved as well.
        turn: what Keras's seed generators are moved on by, as each call of the model moves them; None where they stand
            still for the check, as they do in a scope by themselves.
        others: variables of further models that the function leads to. A scope of Keras's knows nothing of what it was
            not told, and a regulariser is then handed None.
    """

    function: Callable[..., Any]
    model: Any
    variables: Mapping[str, Any]
    inputs: tuple[int, ...] = ()
    turn: random.Random | None = None
    others: tuple[Any, ...] = ()

    def __call__(self, params: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        import keras  # the user's own, imported long ago

        given = list(args)
        for place, value in zip(self.inputs, params.get("inputs", ()), strict=True):
            given[place] = value
        if keras.backend.backend() == "tensorflow":
            kept = [(layer, [*layer._losses]) for layer in self.model._flatten_layers()]
            try:
                return self._named(self.function(self.model, *given, **options))
            finally:  # what a layer keeps while it is traced is of no use afterwards
                for layer, losses in kept:
                    layer._losses[:] = losses
        mapping = [(variable, variable.value) for variable in self.others]
        mapping += [(variable, params[name]) for name, variable in self.variables.items()]
        if self.turn is not None:
            by = self.turn.getrandbits(16)
            mapping += [(seed, keras.ops.add(seed.value, by)) for seed in seeds_of(self.model)]
        with keras.StatelessScope(mapping, collect_losses=True):
            return self._named(self.function(self.model, *given, **options))

    def _named(self, returned: Any) -> Any:
        """Gradients in the order of the variables, by their names; a cost as it is."""
        if isinstance(returned, list | tuple) and len(returned) == len(self.variables) > 0 and not self.inputs:
            return dict(zip(self.variables, returned, strict=True))
        return returned


@dataclass(frozen=True)
class Model:
    """What a check of a model is made of.

    Attributes:
        cost: a function of the parameters.
        params: the parameters by name.
        grads: the claim on them.
        notes: what a reader should know.
    """

    cost: Callable[..., Any]
    params: Mapping[str, Any]
    grads: Any
    notes: tuple[str, ...]


def of_model(
    model: Any, cost: Callable[..., Any], grads: Any, args: Sequence[Any], options: Mapping[str, Any] | None = None, *,
    inputs: bool = False,
) -> Model:  # fmt: skip
    """Takes a model apart.

    Args:
        model: a layer or model of Keras that has been built.
        cost: ``cost(model, *args, **options)``.
        grads: None for what the backend's own reverse mode says, a mapping by path, a list in the order of
            ``model.trainable_variables``, or a function with the signature of the cost that returns one of these.
        args: further arguments.
        options: keyword arguments of the cost.
        inputs: whether floating-point arguments are moved as well.

    Raises:
        InputError: there is nothing to check.
    """
    import keras

    if not getattr(model, "built", True):
        raise InputError.of(DOING, f"`{type(model).__name__}`", "a model that is built", "one without variables yet",
                            "Call it once on a batch, or give it keras.Input.")  # fmt: skip
    if isinstance(grads, str):
        raise InputError.of(DOING, "`grads`", "a mapping by path, a list, a function or None", repr(grads),
                            "Keras keeps no gradients: pass what you computed.")  # fmt: skip
    variables = _by_path(model.trainable_variables)
    if not variables:
        raise InputError.of(DOING, f"`{type(model).__name__}`", "a model with trainable variables", "one without any",
                            "Set trainable=True on what is to be checked.")  # fmt: skip
    params: dict[str, Any] = {
        name: v if keras.backend.backend() == "tensorflow" else _array(v) for name, v in variables.items()
    }
    places = tuple(i for i, value in enumerate(args) if inputs and _is_moved(value))
    if places:
        params["inputs"] = [args[i] for i in places]
    drawn = _turn(Exchanged(cost, model, variables, places), params, args, options or {})
    numbers = grads is not None and not callable(grads)  # which belong to a pattern that is past
    turn = drawn if numbers else None
    frozen = [v.path for v in model.non_trainable_variables if _is_weight(v)]
    claim = Exchanged(grads, model, variables, places, turn, _others(grads, model)) if callable(grads) else grads
    if isinstance(grads, list | tuple) and len(grads) == len(variables):
        claim = dict(zip(variables, grads, strict=True))
    return Model(
        Exchanged(cost, model, variables, places, turn, _others(cost, model)),
        params,
        claim,
        _notes(frozen, held=drawn is not None and not numbers),
    )


def _others(function: Callable[..., Any], model: Any) -> tuple[Any, ...]:
    """Variables of the models that a function leads to, other than the model itself."""
    mine = {id(v) for v in model.variables}
    found = [thing for _, thing in walk([("function", function)], DEPTH, MOST, stop=is_keras_model)]
    models = [thing for thing in found if is_keras_model(thing) and getattr(thing, "built", True)]
    return tuple({id(v): v for other in models for v in other.variables if id(v) not in mine}.values())


def _by_path(variables: Sequence[Any]) -> dict[str, Any]:
    """Variables by path; of several with one path the later ones with their number."""
    found: dict[str, Any] = {}
    for variable in variables:
        name, number = variable.path, 2
        while name in found:
            name, number = f"{variable.path}#{number}", number + 1
        found[name] = variable
    return found


def _array(variable: Any) -> Any:
    """The numbers of a variable, apart from it; PyTorch's are differentiated where the variable's are."""
    value = variable.value
    return value.detach().requires_grad_(value.requires_grad) if hasattr(value, "detach") else value


def seeds_of(model: Any) -> list[Any]:
    """The variables that Keras keeps the states of its seed generators in."""
    return [v for v in model.variables if v.path.endswith("seed_generator_state")]


def _turn(
    cost: Exchanged, params: Mapping[str, Any], args: Sequence[Any], options: Mapping[str, Any]
) -> random.Random | None:
    """What moves the seed generators on, where the cost draws by them; a scope by itself leaves them where they are."""
    import keras

    if keras.backend.backend() == "tensorflow" or not seeds_of(cost.model):
        return None
    turn = random.Random(0)
    moved = replace(cost, turn=turn)
    try:
        first, second = (float(keras.ops.convert_to_numpy(moved(params, *args, **options))) for _ in range(2))
    except Exception:  # met again, and said, where the cost is evaluated
        return None
    return turn if first != second else None


def _is_moved(value: Any) -> bool:
    return "float" in str(getattr(value, "dtype", "")) or "complex" in str(getattr(value, "dtype", ""))


def _is_weight(variable: Any) -> bool:
    """Whether a variable that is not trained is one that could be."""
    return not variable.trainable and not any(
        word in variable.path for word in ("seed_generator", "moving_", "total", "count", "iteration")
    )


def _notes(frozen: Sequence[str], *, held: bool) -> tuple[str, ...]:
    found = []
    if frozen:
        more = f" and {len(frozen) - 3} more" if len(frozen) > 3 else ""
        found.append(f"Not trainable and left alone: {', '.join(frozen[:3])}{more}.")
    if held:
        found.append("Keras's seed generators were held at their present state: one pattern of what is drawn by them.")
    return tuple(found)
