"""A claimed gradient paired with its parameters: by name, and what is wrong with its form."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._adapters.claims import Claims, read_claims
from gradproof._records import Tensor
from gradproof._tree import Structure

W1 = np.arange(6.0).reshape(2, 3)
PARAMS = {"W1": W1, "b1": np.zeros(2)}
GRADS = {"W1": W1 + 1.0, "b1": np.array([7.0, 8.0])}


def tensors_of(structure: Structure) -> list[Tensor]:
    found, offset = [], 0
    for leaf in structure.leaves:
        pairs = leaf.array.dtype.kind == "c"
        size = leaf.array.size * (2 if pairs else 1)
        found.append(Tensor(leaf.name, leaf.array.shape, size, offset, leaf.array.dtype.name, pairs))
        offset += size
    return found


def read(grads: Any, params: Any = None, only: str = "") -> Claims:
    structure = Structure.of(PARAMS if params is None else params, "theta")
    return read_claims(grads, structure, [t for t in tensors_of(structure) if not only or t.name == only])


def forms(claims: Claims) -> list[tuple[str, str, str]]:
    return [(f.tensors[0], f.detail, f.severity) for f in claims.findings]


@pytest.mark.parametrize("prefix", ["", "d", "grad_"])
def test_names_pair_with_or_without_a_prefix(prefix: str) -> None:
    claims = read({prefix + name: value for name, value in GRADS.items()})
    np.testing.assert_array_equal(claims.values["W1"], np.arange(1.0, 7.0))
    np.testing.assert_array_equal(claims.values["b1"], [7.0, 8.0])
    assert (claims.findings, claims.notes) == ((), ())


def test_order_does_not_matter_and_extra_keys_are_noted() -> None:
    claims = read({"dZ1": np.ones(9), "db1": GRADS["b1"], "dA1": None, "dW1": GRADS["W1"]})
    np.testing.assert_array_equal(claims.values["b1"], [7.0, 8.0])
    assert claims.findings == ()
    assert len(claims.notes) == 1
    assert "dZ1" in claims.notes[0]
    assert "dA1" in claims.notes[0]


def test_many_extra_keys_do_not_flood_the_note() -> None:
    claims = read({**GRADS, **{f"dZ{i}": np.ones(1) for i in range(100)}})
    assert len(claims.notes[0]) < 120
    assert "..." in claims.notes[0]


def test_the_vector_is_in_the_order_of_the_tensors_and_zero_where_nothing_is_claimed() -> None:
    structure = Structure.of(PARAMS, "theta")
    claims = read({"b1": GRADS["b1"]})
    np.testing.assert_array_equal(claims.vector(tensors_of(structure)), [0.0] * 6 + [7.0, 8.0])
    assert forms(claims) == [("W1", "missing", "error")]
    assert Claims({}, {}, (), ()).vector([]).shape == (0,)


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "None"), ("soon", "a str"), (b"", "a bytes")],
)
def test_an_entry_that_is_no_array_is_missing(value: object, said: str) -> None:
    claims = read({"W1": GRADS["W1"], "db1": value})
    assert forms(claims) == [("b1", "missing", "error")]
    assert said in claims.findings[0].message
    assert "db1" in claims.findings[0].fix
    assert claims.findings[0].where.mask("b1").all()
    assert "b1" not in claims.values


@pytest.mark.parametrize(
    "params",
    [
        [np.ones(2), np.ones(3)],
        (np.ones(2), np.ones(3)),
        {"layers": [{"w": np.ones(2)}, {"w": np.ones(3)}]},
        {"a": {"b": np.ones(2)}, "c": np.ones(3)},
    ],
)
def test_nestings_pair_by_key_path(params: Any) -> None:
    claims = read(params, params)
    assert claims.findings == ()
    assert sorted(v.size for v in claims.values.values()) == [2, 3]


def test_a_missing_entry_deep_inside_is_a_finding() -> None:
    params = {"layers": [{"w": np.ones(2)}, {"w": np.ones(3)}]}
    claims = read({"layers": [{"w": np.ones(2)}, {"w": None}]}, params)
    assert forms(claims) == [("layers.1.w", "missing", "error")]


@pytest.mark.parametrize("shape", [(3, 2), (6, 2), (5,), (), (2, 3, 2), (0,)])
def test_a_wrong_shape_makes_its_tensor_wrong(shape: tuple[int, ...]) -> None:
    claims = read({"W1": np.ones(shape), "b1": GRADS["b1"]})
    assert forms(claims) == [("W1", "shape", "error")]
    assert str(shape) in claims.findings[0].message
    assert "(2, 3)" in claims.findings[0].message
    assert "W1" not in claims.values
    assert "b1" in claims.values


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1, 4), (4, 1, 1)])
def test_a_layout_difference_is_a_warning_and_compared(shape: tuple[int, ...]) -> None:
    claims = read({"b": np.arange(4.0).reshape(shape)}, {"b": np.ones(4)})
    assert forms(claims) == [("b", "layout", "warning")]
    np.testing.assert_array_equal(claims.values["b"], np.arange(4.0))


def test_one_number_may_have_any_number_of_axes() -> None:
    for claim in (3.0, np.float64(3.0), np.array([[3.0]])):
        assert read({"a": claim}, {"a": 1.5}).values["a"] == [3.0]
    assert read({"a": 3.0}, {"a": np.ones((1, 1))}).values["a"] == [3.0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(order: str) -> None:
    claims = read({"W1": np.asarray(GRADS["W1"], order=order), "b1": GRADS["b1"]})  # type: ignore[call-overload]
    np.testing.assert_array_equal(claims.values["W1"], np.arange(1.0, 7.0))
    reversed_view = np.arange(1.0, 7.0)[::-1].reshape(2, 3)
    np.testing.assert_array_equal(read({"W1": reversed_view, "b1": GRADS["b1"]}).values["W1"], np.arange(6.0, 0, -1))


@pytest.mark.parametrize(
    ("bad", "detail", "said"),
    [(np.nan, "NaN", "1 of 6"), (np.inf, "infinite", "1 of 6"), (-np.inf, "infinite", "1 of 6")],
)
def test_what_is_not_finite_is_wrong_and_its_place_named(bad: float, detail: str, said: str) -> None:
    claim = GRADS["W1"].copy()
    claim[1, 2] = bad
    claims = read({"W1": claim, "b1": GRADS["b1"]})
    finding = claims.findings[0]
    assert forms(claims) == [("W1", detail, "error")]
    assert str(finding.where) == "W1[1, 2]"
    assert finding.where.exact
    assert np.argwhere(finding.where.mask("W1")).tolist() == [[1, 2]]
    assert said in finding.message
    claim[0] = bad
    several = read({"W1": claim, "b1": GRADS["b1"]}).findings[0]
    assert str(several.where) == "4 elements of W1"
    assert "first W1[0, 0]" in several.message


def test_a_number_that_is_not_finite_is_named_without_an_index() -> None:
    assert str(read({"a": np.nan}, {"a": 1.5}).findings[0].where) == "a"


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_an_integer_claim_is_warned_about_and_compared(dtype: type) -> None:
    claims = read({"W1": np.ones((2, 3), dtype), "b1": GRADS["b1"]})
    assert forms(claims) == [("W1", "integer", "warning")]
    np.testing.assert_array_equal(claims.values["W1"], np.ones(6))


@pytest.mark.parametrize("claim", [3, np.int64(3), np.array(3)])
def test_an_integer_number_is_a_claim(claim: Any) -> None:
    claims = read({"a": claim}, {"a": 1.5})
    assert forms(claims) == [("a", "integer", "warning")]
    assert claims.values["a"] == [3.0]


def test_the_dtype_of_a_claim_is_kept_for_its_tolerance() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        assert read({"W1": np.ones((2, 3), dtype), "b1": GRADS["b1"]}).formats["W1"] == np.dtype(dtype).name
    assert read({"W1": np.ones((2, 3), int), "b1": GRADS["b1"]}).formats["W1"] == "float64"


def test_complex_parameters_take_two_coordinates_an_element() -> None:
    params = {"z": np.ones(2, complex)}
    np.testing.assert_array_equal(read({"z": np.array([1 + 2j, 3 - 4j])}, params).values["z"], [1.0, 2.0, 3.0, -4.0])
    np.testing.assert_array_equal(read({"z": np.array([1.0, 3.0])}, params).values["z"], [1.0, 0.0, 3.0, 0.0])
    bad = read({"z": np.array([1.0, complex(0.0, np.nan)])}, params).findings[0]
    assert str(bad.where) == "z[1]"
    assert bad.where.mask("z").tolist() == [False, True]


def test_a_complex_claim_for_a_real_parameter() -> None:
    fine = read({"W1": GRADS["W1"] + 0j, "b1": GRADS["b1"]})
    assert fine.findings == ()
    np.testing.assert_array_equal(fine.values["W1"], np.arange(1.0, 7.0))
    assert forms(read({"W1": GRADS["W1"] + 1e-30j, "b1": GRADS["b1"]})) == [("W1", "complex", "error")]


def test_a_claim_is_copied() -> None:
    grads = {name: value.copy() for name, value in GRADS.items()}
    claims = read(grads)
    grads["W1"][:] = -1.0
    np.testing.assert_array_equal(claims.values["W1"], np.arange(1.0, 7.0))


def test_only_what_is_checked_is_read() -> None:
    claims = read({"W1": GRADS["W1"], "b1": np.full(2, np.nan)}, only="W1")
    assert (set(claims.values), claims.findings, claims.notes) == ({"W1"}, (), ())


@pytest.mark.parametrize("params", [np.ones(3), np.ones((1, 3)), 2.0])
def test_bare_parameters_pair_with_a_bare_claim(params: Any) -> None:
    claims = read(params, params)
    assert list(claims.values) == ["theta"]
    assert claims.findings == ()
    assert list(read({"anything": params}, params).values) == ["theta"]


@pytest.mark.parametrize(
    ("grads", "got"),
    [
        ([1.0, 2.0], "one with 0, 1"),
        ({"V": np.ones(2), "c": np.ones(2)}, "one with V, c"),
        (None, "None"),
        ({}, "one with nothing"),
        (np.array(["a"]), "one with nothing"),
        (np.ones(8), "one array of shape (8,)"),
        (1.5, "1.5"),
        ("grad", "'grad'"),
    ],
)
def test_what_cannot_be_paired_at_all_is_refused_with_both_sides(grads: Any, got: str) -> None:
    with pytest.raises(gp.InputError) as refused:
        read(grads)
    message = str(refused.value)
    assert message.startswith("While pairing the claimed gradient with the parameters: `grads` should be ")
    assert "W1, b1" in message
    assert f"but is {got}." in message
    assert "from_vector" in message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.arange(3), "dtype int64"),
        (np.array([True, False]), "dtype bool"),
        (4, "the int 4"),
        (np.int32(4), "int32"),
        (True, "the bool True"),
    ],
)
def test_a_claim_for_an_integer_parameter_is_refused(value: Any, said: str) -> None:
    params = {"W": np.ones(2), "n": value}
    for name in ("n", "dn"):
        with pytest.raises(gp.InputError) as refused:
            read({"W": np.ones(2), name: np.ones(np.shape(value))}, params)
        message = str(refused.value)
        assert f"While pairing {name} with the parameters: n should be a float array" in message
        assert said in message
    assert read({"W": np.ones(2)}, params).findings == ()


def test_an_empty_tensor_is_claimed_by_an_empty_array() -> None:
    params = {"e": np.empty((0, 3)), "W": np.ones(2)}
    claims = read({"e": np.empty((0, 3)), "W": np.ones(2)}, params)
    assert claims.findings == ()
    assert claims.values["e"].shape == (0,)
    assert forms(read({"W": np.ones(2)}, params)) == [("e", "missing", "error")]


def test_a_structure_without_names_in_common_but_one_pairs_that_one() -> None:
    claims = read({"b1": GRADS["b1"], "V": np.ones(3)})
    assert claims.values["b1"].tolist() == [7.0, 8.0]
    assert forms(claims) == [("W1", "missing", "error")]
    assert "V" in claims.notes[0]


@pytest.mark.parametrize("prefix", ["", "d"])
def test_a_claim_that_says_the_same_again_is_not_read_again(prefix: str) -> None:
    structure = Structure.of(PARAMS, "theta")
    tensors = tensors_of(structure)
    grads = {prefix + name: value for name, value in GRADS.items()}
    before = read_claims(grads, structure, tensors)
    again = {name: np.array(value) for name, value in grads.items()}
    assert read_claims(again, structure, tensors, before) is before
    again[prefix + "W1"][1, 2] += 1e-9
    changed = read_claims(again, structure, tensors, before)
    assert changed is not before
    assert changed.values["W1"][5] == again[prefix + "W1"][1, 2]


@pytest.mark.parametrize(
    "other",
    [
        {"W1": GRADS["W1"].T.copy(), "b1": GRADS["b1"]},
        {"W1": GRADS["W1"].astype(np.float32), "b1": GRADS["b1"]},
        {"W1": GRADS["W1"]},
        {**GRADS, "dZ1": np.ones(2)},
        [GRADS["W1"], GRADS["b1"]],
    ],
    ids=["shape", "dtype", "missing", "extra", "nesting"],
)
def test_a_claim_of_another_form_is_read_again(other: Any) -> None:
    structure = Structure.of(PARAMS, "theta")
    before = read_claims(GRADS, structure, tensors_of(structure))
    assert not before.repeated_by(other, tensors_of(structure))
