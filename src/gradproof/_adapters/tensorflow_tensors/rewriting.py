"""The operations of a traced function, written anew: in double precision, and with random numbers that are told.

The decision behind it: TensorFlow's code asks for formats everywhere (a variable is made with one, a constant has one),
so there is no calling it at wider numbers. What it does is a graph, though, and in a graph a format is an attribute of
each operation. Written anew with the wider formats it is the same function, its branches, loops and backward passes
included. An operation that knows its own format alone keeps it, between two conversions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2
from tensorflow.python.framework import op_def_registry

#: Formats of less than double precision, and the wider ones of the same kind.
WIDER = {
    types_pb2.DT_FLOAT: types_pb2.DT_DOUBLE,
    types_pb2.DT_HALF: types_pb2.DT_DOUBLE,
    types_pb2.DT_BFLOAT16: types_pb2.DT_DOUBLE,
    types_pb2.DT_COMPLEX64: types_pb2.DT_COMPLEX128,
}
#: Operations that draw random numbers from a state of their own, and those that draw the same kind by a key.
DRAWING = {
    "RandomUniform": "StatelessRandomUniformV2",
    "RandomStandardNormal": "StatelessRandomNormalV2",
    "TruncatedNormal": "StatelessTruncatedNormalV2",
    "RandomUniformInt": "StatelessRandomUniformIntV2",
}
#: How the names of operations begin that draw by a key, or from a variable.
BY_KEY = ("StatelessRandom", "StatelessTruncated", "StatelessMultinomial", "StatelessParameterized", "StatefulUniform",
          "StatefulStandardNormal", "StatefulTruncated", "StatefulRandom", "RngReadAndSkip")  # fmt: skip
#: The same for operations that take a seed where these take nothing, with the inputs of the new one: numbers for those
#: of the old one, "seed" for the seed; and their attributes by those of the old one.
SEEDED: dict[str, tuple[str, tuple[int | str, ...], dict[str, str]]] = {
    "Multinomial": ("StatelessMultinomial", (0, 1, "seed"), {"T": "T", "output_dtype": "output_dtype"}),
    "RandomGamma": ("StatelessRandomGammaV2", (0, "seed", 1), {"dtype": "T", "T": "S"}),
    "RandomPoissonV2": ("StatelessRandomPoisson", (0, "seed", 1), {"dtype": "dtype", "Rtype": "R", "T": "S"}),
    "ParameterizedTruncatedNormal": (
        "StatelessParameterizedTruncatedNormal", (0, "seed", 1, 2, 3, 4), {"dtype": "dtype", "S": "T"},
    ),
}  # fmt: skip
#: Operations that draw from a state of their own and cannot be told what to draw.
UNTOLD = (
    "LogUniformCandidateSampler", "UniformCandidateSampler", "LearnedUnigramCandidateSampler", "AllCandidateSampler",
    "FixedUnigramCandidateSampler", "ThreadUnsafeUnigramCandidateSampler", "RandomCrop", "RandomPoisson",
)  # fmt: skip
#: Operations whose results are others in another format.
SEALED = ("Bitcast", "NextAfter", "DecodeRaw", "PyFunc", "EagerPyFunc", "PyFuncStateless")
#: Puts rows in a random order; there is nothing that does so by a key, but for sorting numbers that do.
SHUFFLE = "RandomShuffle"
#: All that are told what to draw.
TOLD = frozenset({*DRAWING, *SEEDED, SHUFFLE})
#: The algorithm of the random numbers that are told: Philox.
PHILOX = 1


class CannotBeRewrittenError(Exception):
    """A graph has something in it of which no other form is known."""


class CannotBeHeldError(CannotBeRewrittenError):
    """An operation draws random numbers that cannot be the same ones twice."""


@dataclass
class Rewriting:
    """One graph while it is written anew.

    Attributes:
        wide: whether in double precision.
        suffix: what is put behind the names of functions, as these are known to all of TensorFlow.
        number: the name of the tensor that the keys of random numbers come from; "" where none are told.
        drawing: the operations that draw random numbers, by name.
        narrow: the operations that are given less than double precision where wider numbers would matter.
    """

    wide: bool
    suffix: str
    number: str = ""
    drawing: list[str] = field(default_factory=list)
    narrow: list[str] = field(default_factory=list)

    def rewritten(self, graph: Any) -> Any:
        """The same graph, as this says.

        Raises:
            CannotBeRewrittenError: there is no such graph.
        """
        found = graph_pb2.GraphDef()
        found.versions.CopyFrom(graph.versions)
        found.library.CopyFrom(graph.library)
        found.node.extend(self._nodes(graph.node, lambda name, _, k: f"{name}:{k}" if k else name, told=True)[0])
        for function in found.library.function:
            function.signature.name += self.suffix
            for argument in (*function.signature.input_arg, *function.signature.output_arg):
                argument.type = self._wider(argument.type)
            nodes, renamed = self._nodes(
                function.node_def, lambda name, argument, _: f"{name}:{argument}:0", told=False
            )
            del function.node_def[:]
            function.node_def.extend(nodes)
            for name, source in function.ret.items():
                function.ret[name] = renamed.get(source, source)
            for name, source in function.control_ret.items():
                function.control_ret[name] = renamed.get(f"^{source}", source).removeprefix("^")
        for gradient in found.library.gradient:
            gradient.function_name += self.suffix
            gradient.gradient_func += self.suffix
        return found

    def _wider(self, dtype: int) -> int:
        return WIDER.get(dtype, dtype) if self.wide else dtype

    def _nodes(
        self, nodes: Any, output: Callable[[str, str, int], str], *, told: bool
    ) -> tuple[list[Any], dict[str, str]]:
        """Nodes of a graph or of a function in it, and the outputs that now go by another name.

        Args:
            nodes: as they are.
            output: the name of an output, from its node, the output's own name and its number among all.
            told: whether random numbers can be told here.
        """
        found: list[Any] = []
        renamed: dict[str, str] = {}
        for node in nodes:
            self._note(node, told=told)
            new = node_def_pb2.NodeDef()
            new.CopyFrom(node)
            new.attr.pop("_class", None)  # which names operations that may go by another name now
            if new.op in TOLD:
                *before, new = self._told(new)
                for made in before:
                    for value in made.attr.values():
                        self._widen(value)
                found += before
            if self._keeps(new):
                found += self._kept(new, output, renamed)
                continue
            for value in new.attr.values():
                self._widen(value)
            if op_def_registry.get(new.op) is None:
                new.op += self.suffix  # a function that is called by its name
            found.append(new)
        for node in found:
            for i, name in enumerate(node.input):
                node.input[i] = renamed.get(name, name)
        return found, renamed

    def _note(self, node: Any, *, told: bool) -> None:
        drawing = node.op in TOLD or node.op in UNTOLD or node.op.startswith(BY_KEY)
        if drawing and not node.op.startswith("StatelessRandomGet"):
            self.drawing.append(f"{node.op} ({node.name})")
        if node.op in UNTOLD:
            raise CannotBeHeldError(node.op)
        if node.op in TOLD and not told:
            raise CannotBeRewrittenError(f"{node.op} draws from a state that cannot be told")

    def _told(self, node: Any) -> Iterator[Any]:
        """An operation that draws, with a key in the place of its own state, after what makes the key."""
        if not self.number:
            raise CannotBeRewrittenError("random numbers are drawn")
        order, axis, seeds, key, algorithm = (
            f"{node.name}/{part}" for part in ("order", "axis", "seeds", "key", "algorithm")
        )
        yield _constant(order, np.array([len(self.drawing)], np.int64))
        yield _constant(axis, np.array(0, np.int32))
        packed = node_def_pb2.NodeDef(name=seeds, op="ConcatV2", input=[self.number, order, axis])
        packed.attr["N"].i = 2
        packed.attr["T"].type = types_pb2.DT_INT64
        packed.attr["Tidx"].type = types_pb2.DT_INT32
        yield packed
        if node.op in SEEDED:
            name, inputs, attributes = SEEDED[node.op]
            new = node_def_pb2.NodeDef(name=node.name, op=name)
            new.input.extend([seeds if i == "seed" else node.input[int(i)] for i in inputs])
            new.attr["Tseed"].type = types_pb2.DT_INT64
            for attribute, old in attributes.items():
                new.attr[attribute].CopyFrom(node.attr[old])
            yield new
            return
        made = node_def_pb2.NodeDef(name=key, op="StatelessRandomGetKeyCounter", input=[seeds])
        made.attr["Tseed"].type = types_pb2.DT_INT64
        yield made
        yield _constant(algorithm, np.array(PHILOX, np.int32))
        if node.op == SHUFFLE:
            yield from _shuffled(node, key, algorithm)
            return
        new = node_def_pb2.NodeDef(name=node.name, op=DRAWING[node.op])
        new.input.extend([node.input[0], key, f"{key}:1", algorithm, *node.input[1:]])
        new.attr["dtype"].CopyFrom(node.attr["Tout" if node.op == "RandomUniformInt" else "dtype"])
        new.attr["Tshape"].CopyFrom(node.attr["T"])
        yield new

    def _keeps(self, node: Any) -> bool:
        """Whether an operation keeps its formats."""
        if not self.wide:
            return False
        definition = op_def_registry.get(node.op)
        if definition is None:
            return False
        lower = [a for a in definition.attr if a.type == "type" and node.attr[a.name].type in WIDER]
        if not lower and not any(a.type in WIDER for a in (*definition.input_arg, *definition.output_arg)):
            return False
        if node.op in SEALED or node.op.startswith(BY_KEY):
            return True
        if any(a.type in WIDER for a in (*definition.input_arg, *definition.output_arg)):
            return True
        return any(
            a.HasField("allowed_values") and WIDER[node.attr[a.name].type] not in a.allowed_values.list.type
            for a in lower
        )

    def _kept(self, node: Any, output: Callable[[str, str, int], str], renamed: dict[str, str]) -> Iterator[Any]:
        """An operation in its own formats, between conversions."""
        definition = op_def_registry.get(node.op)
        given = [name for name in node.input if not name.startswith("^")]
        kinds = [self._format(argument, node) for argument in definition.input_arg]
        if len(kinds) != len(given):
            raise CannotBeRewrittenError(f"{node.op} takes a list")
        new = node_def_pb2.NodeDef()
        new.CopyFrom(node)
        new.name = f"{node.name}/as_it_is"
        del new.input[:]
        for i, (name, kind) in enumerate(zip(given, kinds, strict=True)):
            if kind in WIDER:
                if not node.op.startswith(BY_KEY):  # what a distribution is given is seldom what is checked
                    self.narrow.append(f"{node.op} ({node.name})")
                yield _cast(f"{node.name}/narrow_{i}", name, WIDER[kind], kind)
                name = output(f"{node.name}/narrow_{i}", "y", 0)
            new.input.append(name)
        new.input.extend(name for name in node.input if name.startswith("^"))
        yield new
        renamed[f"^{node.name}"] = f"^{new.name}"
        for k, argument in enumerate(definition.output_arg):
            kind, own = self._format(argument, node), output(new.name, argument.name, k)
            if kind in WIDER:
                yield _cast(f"{node.name}/wide_{k}", own, kind, WIDER[kind])
                own = output(f"{node.name}/wide_{k}", "y", 0)
            renamed[output(node.name, argument.name, k)] = renamed[f"{node.name}:{k}"] = own

    def _format(self, argument: Any, node: Any) -> int:
        if argument.number_attr or argument.type_list_attr:
            raise CannotBeRewrittenError(f"{node.op} takes or gives a list")
        return int(node.attr[argument.type_attr].type if argument.type_attr else argument.type)

    def _widen(self, value: attr_value_pb2.AttrValue) -> None:
        """One attribute of an operation."""
        kind = value.WhichOneof("value")
        if kind == "type":
            value.type = self._wider(value.type)
        elif kind == "tensor" and self.wide and value.tensor.dtype in WIDER:
            array = tf.make_ndarray(value.tensor)
            wide = array.astype(np.complex128 if value.tensor.dtype == types_pb2.DT_COMPLEX64 else np.float64)
            value.tensor.CopyFrom(tf.make_tensor_proto(wide, shape=array.shape))
        elif kind == "list":
            for i, dtype in enumerate(value.list.type):
                value.list.type[i] = self._wider(dtype)
            for function in value.list.func:
                self._rename(function)
        elif kind == "func":
            self._rename(value.func)

    def _rename(self, function: Any) -> None:
        if function.name:
            function.name += self.suffix
        for value in function.attr.values():
            self._widen(value)


def _constant(name: str, array: Any) -> Any:
    node = node_def_pb2.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array, shape=array.shape))
    return node


def _cast(name: str, source: str, given: int, wanted: int) -> Any:
    node = node_def_pb2.NodeDef(name=name, op="Cast", input=[source])
    node.attr["SrcT"].type = given
    node.attr["DstT"].type = wanted
    node.attr["Truncate"].b = False
    return node


def _shuffled(node: Any, key: str, algorithm: str) -> Iterator[Any]:
    """Rows in the order of random numbers."""
    shape, zero, one, count, numbers, order, axis = (
        f"{node.name}/{part}" for part in ("shape", "zero", "one", "count", "numbers", "order_of_rows", "rows")
    )
    made = node_def_pb2.NodeDef(name=shape, op="Shape", input=[node.input[0]])
    made.attr["T"].CopyFrom(node.attr["T"])
    made.attr["out_type"].type = types_pb2.DT_INT32
    yield made
    yield _constant(zero, np.array([0], np.int32))
    yield _constant(one, np.array([1], np.int32))
    yield _constant(axis, np.array(0, np.int32))
    made = node_def_pb2.NodeDef(name=count, op="Slice", input=[shape, zero, one])
    made.attr["T"].type = types_pb2.DT_INT32
    made.attr["Index"].type = types_pb2.DT_INT32
    yield made
    made = node_def_pb2.NodeDef(
        name=numbers, op="StatelessRandomUniformFullIntV2", input=[count, key, f"{key}:1", algorithm]
    )
    made.attr["dtype"].type = types_pb2.DT_INT32
    made.attr["Tshape"].type = types_pb2.DT_INT32
    yield made
    how_many = f"{node.name}/how_many"
    made = node_def_pb2.NodeDef(name=how_many, op="Squeeze", input=[count])
    made.attr["T"].type = types_pb2.DT_INT32
    yield made
    made = node_def_pb2.NodeDef(name=order, op="TopKV2", input=[numbers, how_many])
    made.attr["T"].type = types_pb2.DT_INT32
    made.attr["Tk"].type = types_pb2.DT_INT32
    made.attr["index_type"].type = types_pb2.DT_INT32
    made.attr["sorted"].b = True
    yield made
    made = node_def_pb2.NodeDef(name=node.name, op="GatherV2", input=[node.input[0], f"{order}:1", axis])
    made.attr["Tparams"].CopyFrom(node.attr["T"])
    made.attr["Tindices"].type = types_pb2.DT_INT32
    made.attr["Taxis"].type = types_pb2.DT_INT32
    yield made
