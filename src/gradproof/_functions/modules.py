"""Modules: a cost of one becomes a cost of its named parameters."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradproof._adapters.batch import Batch, read_batch
from gradproof._adapters.foreign import framework_in
from gradproof._adapters.numpy import Call
from gradproof._adapters.translating import data_in_numpy, in_numpy
from gradproof._check import Settings, judged, read_settings
from gradproof._errors import InputError
from gradproof._guard import planned
from gradproof._pipeline.options import read_options, read_patterns, read_vary
from gradproof._records import Report


def check_module(
    module: Any,
    cost: Callable[..., Any],
    grads: Any = None,
    *,
    args: Sequence[Any] = (),
    data: Any = None,
    examples_axis: int | None = None,
    inputs: bool = False,
    options: Mapping[str, Any] | None = None,
    vary: Sequence[str] | None = None,
    tolerance: float | Mapping[str, float] | None = None,
    method: str | None = None,
    budget: int | str | None = None,
    seed: int | None = None,
    only: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    progress: Callable[[int], object] | bool | None = None,
    group: Any = None,
) -> Report:
    """Judges the gradient of a cost in every named parameter of a module.

    Args:
        module: a ``torch.nn.Module``; its parameters that require a gradient are checked, under their names. Or a model
            or layer of Keras 3 on any of its backends; its trainable variables are checked, under their paths. It is
            left as it was: parameters, buffers, gradients, modes, hooks.
        cost: ``cost(module, *args, *data, **options) -> scalar``.
        grads: None for what reverse mode computes; "grad" for what ``.grad`` holds now; a mapping from names to
            tensors, or a callable with the signature of the cost that returns one; for a model of Keras also a list
            in the order of ``trainable_variables``.
        args: arguments after the module, never varied.
        data: the batch, passed on after ``args``; given, a wrong gradient is looked at with other batches as well.
        examples_axis: the axis of the data along which examples are counted; the first where left out.
        inputs: whether the gradient in the floating-point arguments is checked too, as ``inputs[0]``, ...
        options: keyword arguments of the cost.
        vary: names of options that are numbers and may be varied.
        tolerance: as for ``check``.
        method: as for ``check``.
        budget: as for ``check``.
        seed: as for ``check``.
        only: patterns of parameter names to check.
        exclude: patterns of parameter names to leave alone.
        progress: called with the number of evaluations so far; True writes it to a terminal or below a notebook's
            cell, and takes it away at the end.
        group: the processes of ``torch.distributed`` that check the module together, each calling this with its own
            share of the data: a process group, or True for the default one. What is judged is the mean of their costs,
            as that is what gradients averaged over ranks belong to; all of them get the same report.

    Returns:
        The report.

    Raises:
        InputError: what was passed in cannot be checked. What the cost raises goes through.
    """
    settings = read_settings(tolerance, method, budget, seed, 1, progress)  # tensors are not sent to workers
    doing = "setting up the check of a module"
    if group is not None and isinstance(budget, str):
        raise InputError.of(doing, "`budget`", "a number of evaluations where several processes check together",
                            repr(budget), "Clocks differ: pass for example budget=500.")  # fmt: skip
    of_keras = _is_of_keras(module)
    if not of_keras and (not hasattr(module, "named_parameters") or not callable(module)):
        raise InputError.of(doing, "`module`", "a torch.nn.Module or a model of Keras", f"a {type(module).__name__}",
                            "For a nesting of arrays use gradproof.check.")  # fmt: skip
    if not callable(cost):
        raise InputError.of(doing, "`cost`", "a function of the module and its data", f"a {type(cost).__name__}",
                            "Pass the function itself.")  # fmt: skip
    as_passed = () if data is None else tuple(data) if isinstance(data, tuple | list) else (data,)
    batch = None if inputs or not as_passed else _batch(as_passed, examples_axis)
    given = (*args, *(batch.arrays if batch else as_passed))
    keywords = dict(read_options(options) or {})
    patterns = read_patterns("only", only), read_patterns("exclude", exclude)
    varied = read_vary(vary, keywords)

    def opened_keras() -> Call:
        from gradproof._adapters.keras_models import of_model  # loaded for such models alone

        found = of_model(module, cost, grads, given, keywords, inputs=inputs)
        call = Call(found.cost, found.params, found.grads, tuple(given), keywords, False, *patterns, batch, varied)
        made = in_numpy(call, as_passed if batch else (), settings.options.method)
        assert made.foreign is not None
        notes = (*made.foreign.notes, *found.notes)
        return replace(made, foreign=replace(made.foreign, notes=notes, user=cost))

    def opened() -> Call:
        from gradproof._adapters.pytorch.modules import of_module
        from gradproof._adapters.pytorch.residing import Asked

        formats = [getattr(part, "dtype", None) if framework_in(part) else None for part in as_passed] if batch else []
        found = of_module(
            module, cost, grads, given, keywords, formats=formats, inputs=inputs,
            asked=Asked(settings.options.method, group), passed=as_passed, examples=batch.examples if batch else 0,
        )  # fmt: skip
        return Call(found.cost, found.params, found.grads, found.args, keywords, False, *patterns, batch, varied,
                    foreign=found.foreign)  # fmt: skip

    from gradproof._pipeline.origin import origin

    report = judged(opened_keras if of_keras else opened, settings)
    if not of_keras and grads is None and group is None and _has_no_name(report, settings):
        from gradproof._functions.layers import Whole, in_layers

        with planned():
            report = in_layers(report, Whole(module, cost, (*args, *as_passed), keywords), settings)
        report = replace(report, evaluations=settings.meter.count, seconds=settings.elapsed())
    return replace(report, origin=origin(cost, grads))


def _has_no_name(report: Report, settings: Settings) -> bool:
    """Whether anything wrong has no cause yet."""
    if settings.options.method != "auto" or report.verdict != "wrong":
        return False
    return any(f.severity == "error" and f.cause in ("unexplained", "region", "upstream") for f in report.findings)


def _is_of_keras(module: Any) -> bool:
    if "keras" not in sys.modules:
        return False
    from gradproof._adapters.keras_models import is_keras_model

    return is_keras_model(module)


def _batch(data: Sequence[Any], axis: int | None) -> Batch | None:
    """The data with the axis of the examples, the first where none is given; None where they are no such batch."""
    arrays = data_in_numpy(data)
    if axis is not None:
        return read_batch(arrays, axis)
    shapes = [getattr(array, "shape", ()) for array in arrays]
    lengths = {shape[0] for shape in shapes if shape}
    return read_batch(arrays, 0) if all(shapes) and len(lengths) == 1 else None
