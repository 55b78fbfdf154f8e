"""A call on another framework's arrays as a call on NumPy's.

The decision behind it: behind this edge there is one engine. Whoever passes NumPy arrays goes through untouched, and no
framework is imported that the user has not imported.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gradproof._adapters.foreign import Translated, Wanted, demand_no_keras_variables, framework_in, numbers
from gradproof._adapters.numpy import Call
from gradproof._adapters.user import argument_name


def in_numpy(call: Call, data: Sequence[Any], method: str = "auto") -> Call:
    """The same call with functions of NumPy arrays.

    Args:
        call: what the user passed in, with data as NumPy arrays among its arguments.
        data: the data as they were passed.
        method: of the check.

    Raises:
        InputError: a tensor cannot be moved.
    """
    framework = "" if call.foreign is not None else framework_in(call.params)
    if not framework and call.foreign is None:
        demand_no_keras_variables(call.params)
    if not framework or not callable(call.cost):
        return call  # what is no function is refused where calls are opened
    formats = tuple(getattr(array, "dtype", None) if numbers(array) is not None else None for array in data)
    root = argument_name(call.cost) or "params"
    given = call.cost, call.params, call.grads, call.args, call.options or {}, call.has_aux, formats
    if framework == "torch":
        from gradproof._adapters.pytorch.residing import Asked
        from gradproof._adapters.pytorch.translate import Wanted as WantedOfTensors
        from gradproof._adapters.pytorch.translate import translated

        found = translated(WantedOfTensors(*given), root, Asked(method), data)
        return replace(call, cost=found.cost, grads=found.grads, foreign=found.foreign)
    made = _of_copies(framework, Wanted(*given), root)
    return replace(call, cost=made.cost, grads=made.grads, foreign=made.foreign)


def _of_copies(framework: str, wanted: Wanted, root: str) -> Translated:
    """A call on arrays that are handed over as copies."""
    if framework == "jax":
        from gradproof._adapters.jax_arrays import translate as jax_translate

        return jax_translate.translated(wanted, root)
    if framework == "tensorflow":
        from gradproof._adapters.tensorflow_tensors import translate as tensorflow_translate

        return tensorflow_translate.translated(wanted, root)
    from gradproof._adapters import other_arrays

    return other_arrays.translated(wanted, root)


def data_in_numpy(data: Any) -> Any:
    """Data with arrays of NumPy in the place of tensors."""
    if isinstance(data, tuple | list):
        return type(data)(_array(part) for part in data) if type(data) in (tuple, list) else tuple(map(_array, data))
    return _array(data)


def _array(value: Any) -> Any:
    found = numbers(value)
    return value if found is None else found
