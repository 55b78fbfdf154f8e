"""Traced functions that are run at the engine's numbers, and leave the user's variables alone.

The decision behind it: a traced function reads its variables through handles, and a handle can be another one. So each
variable has a double, in the user's format or in a wider one, that is moved and written to in its stead; the user's own
is never touched. What a function keeps from call to call in whole numbers, as Keras keeps the seeds of dropout, is
random state like any other.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow.python.eager import context
from tensorflow.python.framework import op_def_registry, ops

from gradproof._adapters.randomness import Source
from gradproof._adapters.tensorflow_tensors.rewriting import TOLD, WIDER, CannotBeRewrittenError, Rewriting
from gradproof._adapters.tensorflow_tensors.tensors import wider

#: Operations that are given variables and leave them as they are.
READING = ("ReadVariableOp", "VariableShape", "VarIsInitializedOp", "ResourceGather", "ResourceGatherNd",
           "LookupTableFindV2", "LookupTableSizeV2", "DisableCopyOnRead")  # fmt: skip
#: Tells the functions of one rewritten graph from those of another.
_COUNT = itertools.count()


@contextmanager
def inlined(*, inline: bool) -> Iterator[None]:
    """Whether functions inside a function are traced as part of it."""
    before = tf.config.functions_run_eagerly()
    if not inline or before:
        yield
        return
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@dataclass
class Doubles:
    """What stands in for the user's variables.

    Attributes:
        number: what random numbers are drawn by, where the user's code has no say in them.
        made: the doubles by the variable's identity and format, beside the variable.
    """

    number: Any = field(default_factory=lambda: tf.Variable([0], dtype=tf.int64, trainable=False))
    made: dict[tuple[int, str], tuple[Any, Any]] = field(default_factory=dict)

    def of(self, variable: Any, *, wide: bool) -> Any:
        """The double of a variable."""
        name = tf.as_dtype(variable.dtype).name
        kind = wider(name) if wide else name
        known = self.made.get((id(variable), kind))
        if known is None:
            value = variable.value() if callable(getattr(variable, "value", None)) else tf.convert_to_tensor(variable)
            double = tf.Variable(tf.cast(value, kind) if kind != name else tf.identity(value), trainable=False)
            known = self.made[id(variable), kind] = variable, double
        return known[1]

    def reset(self, moved: Sequence[Any]) -> None:
        """Gives doubles of floating-point variables that are not moved the user's numbers again."""
        mine = {id(v) for v in moved}
        for variable, double in self.made.values():
            if id(variable) not in mine and double.dtype.is_floating:
                double.assign(tf.cast(variable, double.dtype))

    def source(self, names: Sequence[str]) -> Source:
        """The random state, under the names of the operations that draw."""
        return Source(", ".join(names) or "TensorFlow's random numbers", self.take, self.put)

    def take(self) -> list[Any]:
        """The random state now."""
        whole = [double for _, double in self.made.values() if double.dtype.is_integer]
        return [np.array(double.numpy()) for double in (self.number, *whole)]

    def put(self, state: Sequence[NDArray[Any]]) -> None:
        """The random state as it was taken; what came after it as the user's own is."""
        self.number.assign(state[0])
        whole = [pair for pair in self.made.values() if pair[1].dtype.is_integer]
        for (_, double), value in zip(whole, state[1:], strict=False):
            double.assign(value)
        for variable, double in whole[len(state) - 1 :]:
            double.assign(tf.convert_to_tensor(variable))


@dataclass(frozen=True)
class Graph:
    """A traced function.

    Attributes:
        concrete: what TensorFlow has traced.
        tensors: the names of its inputs.
        outputs: the names of its outputs, flat.
        structure: the nesting of the outputs.
    """

    concrete: Any
    tensors: tuple[str, ...]
    outputs: tuple[str, ...]
    structure: Any

    @classmethod
    def of(cls, function: Callable[..., Any], specs: Sequence[Any]) -> "Graph":
        """Traces a function of tensors; raises what it raises."""
        structures: list[Any] = []

        def traced(*given: Any) -> list[Any]:
            returned = function(*given)
            structures.append(returned)
            return [tf.identity(tf.convert_to_tensor(part)) for part in tf.nest.flatten(returned)]

        concrete = tf.function(traced, autograph=False).get_concrete_function(*specs)
        captured = {placeholder.name for _, placeholder in concrete.graph.captures}
        inputs = tuple(t.name for t in concrete.graph.inputs if t.name not in captured)
        return cls(concrete, inputs, tuple(t.name for t in concrete.graph.outputs), structures[-1])

    @property
    def variables(self) -> tuple[Any, ...]:
        """The variables that it reads or writes."""
        return tuple(self.concrete.graph.variables)

    def constants(self) -> list[tuple[str, bytes]]:
        """Its operations in order, with the numbers that are written into it."""
        nodes = self.concrete.graph.as_graph_def().node
        return [(node.op, node.attr["value"].tensor.SerializeToString()) for node in nodes]

    def ruled(self) -> bool:
        """Whether a function with a backward pass of the user's own is in it."""
        graph = self.concrete.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        named = {node.attr["_gradient_op_type"].s.decode() for node in nodes if "_gradient_op_type" in node.attr}
        return any(_is_of_the_user(name) for name in named if name.startswith("CustomGradient"))

    def narrows(self) -> bool:
        """Whether anything in it is computed in less than double precision."""
        graph = self.concrete.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        passed_on = ("Const", "Cast")  # numbers of any format, on their way to a wider one
        narrow = (n for n in nodes if n.op not in passed_on or (n.op == "Cast" and n.attr["DstT"].type in WIDER))
        return any(value.type in WIDER for node in narrow for value in node.attr.values())

    def run_on(self, doubles: Doubles, *, wide: bool) -> "Run":
        """The same at other numbers.

        Raises:
            CannotBeRewrittenError: it cannot be written so.
        """
        graph = self.concrete.graph.as_graph_def()
        drawing = any(node.op in TOLD for node in graph.node)
        placeholder = "the_number_of_the_pattern"
        if drawing:
            node = graph.node.add(name=placeholder, op="Placeholder")
            node.attr["dtype"].type = tf.int64.as_datatype_enum
        rewriting = Rewriting(wide, f"_as_checked_{next(_COUNT)}", placeholder if drawing else "")
        new = rewriting.rewritten(graph)
        for function in new.library.function:
            context.context().add_function_def(function)
        by_handle = {v.handle._id: v for v in self.variables if hasattr(v.handle, "_id")}

        def body(*given: Any) -> Any:
            inputs = dict(zip(self.tensors, given, strict=True))
            for outer, inner in self.concrete.graph.captures:
                variable = by_handle.get(getattr(outer, "_id", None)) if outer.dtype == tf.resource else None
                if variable is not None:
                    inputs[inner.name] = tf.identity(doubles.of(variable, wide=wide).handle)
                elif wide and outer.dtype.name != wider(outer.dtype.name):
                    inputs[inner.name] = tf.cast(outer, wider(outer.dtype.name))
                else:
                    inputs[inner.name] = tf.identity(outer)
            if drawing:
                inputs[f"{placeholder}:0"] = tf.identity(doubles.number)
            names = [*self.outputs, *(f"{op.name}" for op in self.concrete.graph.control_outputs)]
            found = tf.graph_util.import_graph_def(new, input_map=inputs, return_elements=names, name="")
            with tf.control_dependencies(found[len(self.outputs) :]):
                return [tf.identity(value) for value in found[: len(self.outputs)]]

        kinds = [t.dtype.name for t in self.concrete.graph.inputs if t.name in set(self.tensors)]
        shapes = [t.shape for t in self.concrete.graph.inputs if t.name in set(self.tensors)]
        specs = [tf.TensorSpec(s, wider(k) if wide else k) for s, k in zip(shapes, kinds, strict=True)]
        for variable in self.variables:
            doubles.of(variable, wide=wide)
        try:
            made = tf.function(body, autograph=False).get_concrete_function(*specs)
        except (ValueError, tf.errors.OpError) as error:  # an operation without such a format
            raise CannotBeRewrittenError(str(error).splitlines()[0]) from error
        writes = any(map(_writes, _operations(graph)))
        drawn = writes and bool(rewriting.drawing)
        states = tuple(v for v in self.variables if drawn and v.dtype.is_integer)
        draws = tuple(dict.fromkeys(rewriting.drawing)) if drawing or states else ()
        return Run(made, doubles, draws, tuple(rewriting.narrow), drawing, writes, states)


@dataclass(frozen=True)
class Run:
    """A traced function at numbers of one precision.

    Attributes:
        function: what is called.
        doubles: what it reads and writes in the place of the user's variables.
        draws: the operations that draw other random numbers at each call.
        narrow: the operations that are given less than double precision.
        numbered: whether these are told what to draw.
        writes: whether it writes to variables.
        states: the variables that say what is drawn, and are moved on by drawing.
    """

    function: Any
    doubles: Doubles
    draws: tuple[str, ...]
    narrow: tuple[str, ...]
    numbered: bool
    writes: bool
    states: tuple[Any, ...] = ()

    def __call__(self, tensors: Sequence[Any], moved: Sequence[Any]) -> list[Any]:
        """What it returns, with these tensors as inputs.

        Args:
            tensors: the inputs.
            moved: the user's variables whose doubles hold the engine's numbers.
        """
        if self.writes:
            self.doubles.reset(moved)
        found = self.function(*tensors)
        if self.numbered:
            self.doubles.number.assign_add([1])
        return list(found)


def _is_of_the_user(name: str) -> bool:
    """Whether a registered backward pass leads to code from outside of TensorFlow and Keras."""
    try:
        waiting = [ops.gradient_registry.lookup(name)]
    except LookupError:
        return True
    for function in waiting:  # which grows on the way
        for cell in getattr(function, "__closure__", None) or ():
            with suppress(ValueError):  # a cell that is not filled yet holds nothing
                if callable(cell.cell_contents) and len(waiting) < 64:
                    waiting.append(cell.cell_contents)
    own = ("tensorflow", "keras", "builtins", "functools")
    return any(not str(getattr(function, "__module__", "")).startswith(own) for function in waiting)


def _writes(op: str) -> bool:
    """Whether an operation may write to a variable."""
    definition = op_def_registry.get(op)
    given = definition.input_arg if definition is not None else ()
    return op not in READING and any(argument.type == types_pb2.DT_RESOURCE for argument in given)


def _operations(graph: Any) -> set[str]:
    functions = (node.op for function in graph.library.function for node in function.node_def)
    return {node.op for node in graph.node} | set(functions)
