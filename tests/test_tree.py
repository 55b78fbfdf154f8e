import copy
import pickle
import time
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradproof._errors import InputError
from gradproof._tree import Kind, Location, Structure, from_vector, locate, pair, shared, to_vector

DTYPES: list[type[np.generic]] = [
    np.float16,
    np.float32,
    np.float64,
    np.longdouble,
    np.complex64,
    np.complex128,
    np.clongdouble,
]

Layer = namedtuple("Layer", ["weight", "bias"])


@dataclass(frozen=True, slots=True)
class Frozen:
    W: Any
    name: str = "frozen"


@dataclass
class Late:
    W: Any
    cache: Any = field(init=False)
    unset: Any = field(init=False)

    def __post_init__(self) -> None:
        self.cache = np.array([9.0])
        self.note = "mine"

    @cached_property
    def norm(self) -> float:
        return float(np.linalg.norm(self.W))


class Entries(dict[str, Any]):
    """A dict whose attributes are its entries."""

    def __init__(self, **entries: Any) -> None:
        super().__init__(**entries)
        self.__dict__ = self


class Stack(list[Any]):
    label = "none"


class Pair(tuple[Any, ...]):
    def __new__(cls, a: Any, b: Any) -> "Pair":
        return super().__new__(cls, (a, b))


class Noted:
    __slots__ = ("note",)
    note: str


@dataclass
class Slotted(Noted):
    W: Any


class Slot(IntEnum):
    FIRST = 1


finite = st.floats(-100, 100, width=16)
leaf = st.one_of(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(
            dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), elements=finite
        )
    ),
    finite,
    st.builds(complex, finite, finite),
    finite.map(np.float32),
    finite.map(np.complex128),
)
static = st.one_of(st.integers(), st.booleans(), st.none(), st.text(max_size=3), st.just(np.arange(3)))
key = st.one_of(st.text("ab.[]'\"1d#-", max_size=4), st.integers(-3, 3), st.none(), st.tuples(st.integers(0, 2)))
trees = st.recursive(
    st.one_of(leaf, static),
    lambda child: st.one_of(
        st.dictionaries(key, child, max_size=4),
        st.lists(child, max_size=3),
        st.lists(child, max_size=3).map(tuple),
        st.builds(Layer, child, child),
        st.builds(Frozen, child),
        st.dictionaries(key, child, max_size=3).map(OrderedDict),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal in type, nesting, dtype, shape and value."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Frozen):
        return same(a.W, b.W) and a.name == b.name
    return bool(a == b)


@given(trees)
@settings(max_examples=150, deadline=None)
def test_vector_and_back_is_the_identity(tree: Any) -> None:
    before = copy.deepcopy(tree)
    vector = to_vector(tree)
    assert vector.ndim == 1
    assert same(from_vector(vector, tree), tree)
    assert same(tree, before)


@given(trees)
@settings(max_examples=150, deadline=None)
def test_names_are_unique_and_rebuild_gives_the_same_leaves(tree: Any) -> None:
    structure = Structure.of(tree)
    names = [*structure.names, *(name for name, _ in structure.statics)]
    assert len(set(names)) == len(names)
    again = Structure.of(structure.rebuild([leaf.value for leaf in structure.leaves]))
    assert again.names == structure.names
    assert all(a.value is b.value for a, b in zip(again.leaves, structure.leaves, strict=True))
    assert all(a[1] is b[1] for a, b in zip(again.statics, structure.statics, strict=True))


@given(trees)
@settings(max_examples=60, deadline=None)
def test_locate_agrees_with_the_vector(tree: Any) -> None:
    by_name = {leaf.name: leaf.array for leaf in Structure.of(tree).leaves}
    vector = to_vector(tree)
    for position, value in enumerate(vector):
        name, index = locate(tree, position)
        assert by_name[name][index] == value


@given(st.lists(st.sampled_from(["W", "dW", "ddW", "b", "db"]), unique=True), st.randoms())
def test_pairing_uses_every_name_once(names: list[str], random: Any) -> None:
    grads = [f"d{name}" for name in names]
    random.shuffle(grads)
    pairing = pair(names, grads)
    assert dict(pairing.pairs) == {name: f"d{name}" for name in names}
    assert (pairing.missing, pairing.extra) == ((), ())


def test_names_follow_the_users_order() -> None:
    tree = {"z": 1.0, "layers": [Layer(np.ones(2), np.ones(1)), {"weight": 2.0}], "a": (3.0,), 7: 4.0}
    assert Structure.of(tree).names == ("z", "layers.0.weight", "layers.0.bias", "layers.1.weight", "a.0", "7")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("W1", "W1"),
        ("two words", "two words"),
        (3, "3"),
        (-3, "-3"),
        (Slot.FIRST, "1"),
        (np.int64(3), "3"),
        (np.str_("W1"), "W1"),
        ("two\nlines", "['two\\nlines']"),
        ("3", "['3']"),
        ("+3", "['+3']"),
        ("", "['']"),
        ("a.b", "['a.b']"),
        ("a[0]", "['a[0]']"),
        (True, "[True]"),
        (None, "[None]"),
        ((0, 1), "[(0, 1)]"),
    ],
)
def test_how_a_key_is_written(key: Any, name: str) -> None:
    assert Structure.of({key: 1.0}).names == (name,)
    below = name if name.startswith("[") else f".{name}"
    assert Structure.of({"net": {key: {"W": 1.0}}}).names == (f"net{below}.W",)


def test_keys_that_print_alike_get_different_names() -> None:
    tree = {float("nan"): 1.0, np.float64("nan").item(): 2.0, "x": {"a.b": 1.0, "a": {"b": 2.0}}}
    names = Structure.of(tree).names
    assert names == ("[nan]", "[nan]#2", "x['a.b']", "x.a.b")


def test_a_bare_leaf_is_named_by_root() -> None:
    assert Structure.of(np.ones(2)).names == ("params",)
    assert Structure.of(1.5, root="theta").names == ("theta",)
    assert Structure.of(2, root="n").statics == (("n", 2),)


def test_kinds_of_leaves_are_kept() -> None:
    tree = [np.float32(1.5), 2.5, 1j, np.array(3.0), np.complex64(2j), np.longdouble(4)]
    kinds = [leaf.kind for leaf in Structure.of(tree).leaves]
    scalar = Kind.NUMPY_SCALAR
    assert kinds == [scalar, Kind.PYTHON_FLOAT, Kind.PYTHON_COMPLEX, Kind.ARRAY, scalar, scalar]
    back = from_vector(to_vector(tree), tree)
    assert [type(x) for x in back] == [type(x) for x in tree]
    assert same(back, tree)


def test_the_array_of_a_leaf_is_a_view() -> None:
    W = np.zeros((2, 2))
    Structure.of({"W": W}).leaves[0].array[0, 1] = 5.0
    assert W[0, 1] == 5.0


def test_static_objects_are_carried_along_untouched() -> None:
    things = [3, True, "relu", None, np.arange(3), np.array([True]), object(), {1.0}, np.int64(4), np.array(["a"])]
    structure = Structure.of({"things": things, "W": np.ones(2)})
    assert structure.names == ("W",)
    assert [name for name, _ in structure.statics] == [f"things.{i}" for i in (0, 1, 4, 5, 8)]
    new = structure.rebuild([np.zeros(2)])
    assert all(a is b for a, b in zip(new["things"], things, strict=True))
    assert new["things"] is not things


def test_containers_keep_their_type_and_the_old_ones_are_untouched() -> None:
    counted: defaultdict[str, Any] = defaultdict(list, {"W": np.ones(2)})
    stack = Stack([np.ones(1)])
    stack.label = "mine"
    tree: list[Any] = [
        counted,
        OrderedDict(b=1.0, a=2.0),
        Entries(W=3.0),
        stack,
        Pair(4.0, 5),
        Layer(6.0, "b"),
        {},
        [],
        (),
    ]
    structure = Structure.of(tree)
    new = structure.rebuild([10.0 * i for i in range(len(structure.leaves))])
    assert [type(x) for x in new] == [type(x) for x in tree]
    assert new[0].default_factory is list
    assert list(new[1].items()) == [("b", 10.0), ("a", 20.0)]
    assert new[2].W == new[2]["W"] == 30.0
    assert (list(new[3]), new[3].label) == ([40.0], "mine")
    assert new[4] == (50.0, 5)
    assert new[5] == Layer(60.0, "b")
    assert all(a is not b for a, b in zip(new[:-1], tree[:-1], strict=True))
    assert np.array_equal(counted["W"], np.ones(2))
    assert tree[2].W == 3.0


def test_dataclasses_frozen_with_slots_and_fields_out_of_init() -> None:
    late = Late(np.array([3.0, 4.0]))
    assert late.norm == 5.0
    structure = Structure.of([Frozen(np.ones(2)), late])
    assert structure.names == ("0.W", "1.W", "1.cache")
    frozen, new = structure.rebuild([1.0, np.array([6.0, 8.0]), 3.0])
    assert frozen == Frozen(1.0)
    assert type(new) is Late
    assert (new.cache, new.note, new.norm) == (3.0, "mine", 10.0)
    assert not hasattr(new, "unset")
    assert late.norm == 5.0


def test_slots_beside_the_fields_are_kept() -> None:
    old = Slotted(1.0)
    empty = Structure.of(old).rebuild([2.0])
    old.note = "mine"
    new = Structure.of(old).rebuild([2.0])
    assert (new.W, new.note) == (2.0, "mine")
    assert not hasattr(empty, "note")


def test_records_of_c_code_are_static() -> None:
    when = time.gmtime(0)
    assert Structure.of({"when": when, "W": 1.0}).rebuild([2.0]) == {"when": when, "W": 2.0}
    assert Structure.of({"when": when, "W": 1.0}).rebuild([2.0])["when"] is when


def test_later_changes_of_the_users_tree_do_not_reach_a_structure() -> None:
    tree = OrderedDict(W=1.0)
    structure = Structure.of(tree)
    tree["b"] = 2.0
    assert structure.rebuild([5.0]) == OrderedDict(W=5.0)


def test_a_structure_can_be_pickled() -> None:
    tree = {"layers": [Layer(np.ones(2), 1.0), Frozen(2.0)], "n": 3}
    structure = pickle.loads(pickle.dumps(Structure.of(tree)))
    assert same(structure.rebuild([leaf.value for leaf in structure.leaves]), tree)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_returns_as_it_was(dtype: type[np.generic]) -> None:
    tree = {"W": np.arange(6).reshape(2, 3).astype(dtype), "b": np.array(7, dtype)}
    vector = to_vector(tree)
    assert vector.dtype == dtype
    assert same(from_vector(vector, tree), tree)


def test_the_vector_has_the_common_dtype() -> None:
    assert to_vector([np.ones(2, np.float16), np.float32(1)]).dtype == np.float32
    assert to_vector([np.ones(2, np.float32), 1.0]).dtype == np.float64
    assert to_vector([np.ones(2, np.float32), np.array(1.0)]).dtype == np.float64
    assert to_vector([np.ones(2, np.float64), np.complex64(1)]).dtype == np.complex128
    empty = to_vector({"n": 3})
    assert empty.shape == (0,)
    assert empty.dtype == np.float64


def test_the_vector_is_in_c_order_whatever_the_layout() -> None:
    W = np.arange(6.0).reshape(2, 3)
    backwards = W[::-1, ::2]
    tree = {"F": np.asfortranarray(W), "T": W.T, "S": backwards, "E": np.empty((2, 0)), "V": np.broadcast_to(2.0, (2,))}
    expected = [0, 1, 2, 3, 4, 5, 0, 3, 1, 4, 2, 5, 3, 5, 0, 2, 2, 2]
    assert to_vector(tree).tolist() == expected
    assert same(from_vector(to_vector(tree), tree), tree)
    assert locate(tree, 8) == ("T", (1, 0))
    assert locate(tree, 16) == ("V", (0,))


def test_vector_and_tree_share_no_memory() -> None:
    W = np.ones(3)
    vector = to_vector(W)
    back = from_vector(vector, W)
    vector[:] = 7.0
    assert W.tolist() == back.tolist() == [1.0, 1.0, 1.0]
    assert back.flags.writeable


def test_integer_vectors_are_taken() -> None:
    assert same(from_vector([1, 2], {"W": np.zeros(2, np.float32)}), {"W": np.array([1, 2], np.float32)})


@pytest.mark.parametrize(
    ("vector", "like", "words"),
    [
        (np.ones(3), {"W": np.ones(2)}, ["length 2", "(3,)", "to_vector"]),
        (np.ones((2, 1)), {"W": np.ones(2)}, ["1-D", "(2, 1)"]),
        (np.ones(2) + 0j, {"W": np.ones(2)}, ["W should be real", "complex128", "real part"]),
        (np.array([1j, 1j]), {"W": 1.0, "c": 1j}, ["W should be real"]),
        (np.array(["a", "b"]), {"W": np.ones(2)}, ["numbers", "<U1"]),
    ],
)
def test_from_vector_refuses(vector: Any, like: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        from_vector(vector, like)
    assert str(caught.value).startswith("While taking a vector apart: ")
    assert all(word in str(caught.value) for word in words)


def test_locations_print_compactly() -> None:
    params = {"W1": np.ones((2, 3)), "W2": np.ones((5, 8)), "b": np.array(0.0)}
    assert str(locate(params, 6 + 4 * 8 + 7)) == "W2[4, 7]"
    assert str(locate(params, 46)) == "b"
    assert locate(params, np.int64(5)) == Location("W1", (1, 2))  # type: ignore[arg-type]
    assert str(locate(np.ones(3), 1)) == "params[1]"


@pytest.mark.parametrize("position", [-1, 3, 1.0, "1", None, True, np.array([0, 1])])
def test_locate_refuses_what_is_no_position(position: Any) -> None:
    with pytest.raises(InputError, match=r"position should be an integer from 0 to 2, but is .*Positions count"):
        locate({"W": np.ones(3)}, position)


def test_locate_in_nothing() -> None:
    with pytest.raises(InputError, match="no elements"):
        locate({}, 0)


def test_rebuild_wants_one_value_per_leaf() -> None:
    with pytest.raises(InputError, match=r"rebuilding theta.*2 long.*but is 1 long"):
        Structure.of([1.0, 2.0], root="theta").rebuild([1.0])


def test_cycles_are_refused_by_path() -> None:
    tree: dict[str, Any] = {"W": 1.0, "layers": [1.0]}
    tree["layers"].append({"back": tree})
    with pytest.raises(InputError, match=r"layers\.1\.back should be a finite nesting"):
        Structure.of(tree)


def test_a_container_used_twice_is_no_cycle() -> None:
    layer = {"W": np.ones(2)}
    assert Structure.of([layer, layer]).names == ("0.W", "1.W")


@pytest.mark.parametrize("dtype", [float, int])
def test_masked_arrays_are_refused_by_name(dtype: type) -> None:
    with pytest.raises(InputError, match=r"net\.W should be a plain array, but is a masked array\. Pass"):
        Structure.of({"net": {"W": np.ma.masked_array(np.ones(2, dtype), [True, False])}})


def ragged(*entries: Any) -> Any:
    array = np.empty(len(entries), dtype=object)
    array[:] = entries
    return array


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (ragged(1.0, 2), "an object array that holds floats"),
        (ragged(np.ones(2), np.ones(3)), "an object array that holds floats"),
        (ragged([1.0], [1.0, 2.0]), "an object array that holds floats"),
        (np.zeros(2, [("n", int), ("x", np.float32, (3,))]), "a structured array with float fields"),
        (np.zeros(2, [("inner", [("x", complex)])])[0], "a structured array with float fields"),
    ],
)
def test_floats_that_would_escape_unseen_are_refused_by_name(value: Any, got: str) -> None:
    with pytest.raises(InputError) as caught:
        Structure.of({"net": {"W": value}}, root="theta")
    assert f"While reading theta: net.W should be a plain array, but is {got}. " in str(caught.value)
    assert str(caught.value).endswith(("list of arrays.", "dict of arrays."))


def test_object_and_structured_arrays_without_floats_are_static() -> None:
    things = [ragged("a", None, 3), ragged(np.arange(2), [1]), np.zeros(2, [("n", int)])]
    new = Structure.of(things).rebuild([])
    assert all(a is b for a, b in zip(new, things, strict=True))


def test_a_matrix_is_an_array_of_its_shape() -> None:
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    assert to_vector(matrix).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert from_vector(to_vector(matrix), matrix).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_shared_memory_is_found_exactly() -> None:
    base = np.zeros(12)
    tree = {
        "c": base[6:],
        "even": base[:6:2],
        "odd": base[1:6:2],
        "lone": np.zeros(12),
        "reversed": base[5:2:-1],
        "x": 1.0,
        "y": 1.0,
        "empty": base[:0],
        "again": base[6:],
    }
    assert shared(Structure.of(tree).leaves) == [("c", "again"), ("even", "reversed"), ("odd", "reversed")]


@pytest.mark.parametrize(
    ("params", "grads", "pairs", "missing", "extra"),
    [
        (["W1", "b1"], ["dZ1", "db1", "dW1"], {"W1": "dW1", "b1": "db1"}, (), ("dZ1",)),
        (["W1", "b1"], ["W1", "dW1"], {"W1": "W1"}, ("b1",), ("dW1",)),
        (["layers.0.weight"], ["layers.0.dweight"], {"layers.0.weight": "layers.0.dweight"}, (), ()),
        (["W.0", "W.1"], ["dW.0", "dW.1"], {"W.0": "dW.0", "W.1": "dW.1"}, (), ()),
        (["['a.b']", "n['1']"], ["['da.b']", "n.d1"], {"['a.b']": "['da.b']", "n['1']": "n.d1"}, (), ()),
        (["W", "dW"], ["dW", "W"], {"W": "W", "dW": "dW"}, (), ()),
        (["W", "dW"], ["dW", "ddW"], {"W": "dW", "dW": "ddW"}, (), ()),
        (["W", "dW"], ["dW"], {"dW": "dW"}, ("W",), ()),
        (["W1", "l.0.w"], ["grad_W1", "l.0.grad_w"], {"W1": "grad_W1", "l.0.w": "l.0.grad_w"}, (), ()),
        (["W"], ["grad_W", "dW"], {"W": "dW"}, (), ("grad_W",)),
        (["W", "dW"], ["grad_dW", "dW"], {"W": "dW", "dW": "grad_dW"}, (), ()),
        (["W", "dW"], ["W", "ddW"], {"W": "W", "dW": "ddW"}, (), ()),
        (["0", "[(0, 1)]", "['x', 'y']"], ["d0", "d"], {}, ("0", "[(0, 1)]", "['x', 'y']"), ("d0", "d")),
    ],
)
def test_pairing(
    params: list[str], grads: list[str], pairs: dict[str, str], missing: tuple[str, ...], extra: tuple[str, ...]
) -> None:
    pairing = pair(params, grads)
    assert dict(pairing.pairs) == pairs
    assert list(pairing.pairs) == [name for name in params if name in pairs]
    assert (pairing.missing, pairing.extra) == (missing, extra)
