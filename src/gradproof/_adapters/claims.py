"""The claimed gradient, paired with the parameters by name.

The decision behind it: what is wrong with the form of a gradient (a missing entry, a wrong shape, NaN) is a finding
about that tensor and not an error, so that one slip does not hide what else is wrong. Only a claim of which nothing at
all can be paired is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat
from gradproof._errors import InputError
from gradproof._records import Finding, Place, Tensor, format_of
from gradproof._tree import Leaf, Structure, pair, shared

#: How findings call claims that are not finite.
NAN, INFINITE = "NaN", "infinite"


@dataclass(frozen=True)
class Claims:
    """What is claimed, tensor by tensor.

    Attributes:
        values: name to flat real coordinates; tensors without a usable claim are absent.
        formats: name to the format of the claim's numbers, such as "float64".
        findings: what is wrong with the form of the claim.
        notes: what a reader should know.
        misshapen: name to claims of a shape that cannot be compared, as they were given.
        shared: pairs of tensors whose claims are parts of the same memory.
        partners: names of tensors by those of their claims.
    """

    values: Mapping[str, NDArray[np.float64]]
    formats: Mapping[str, str]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    misshapen: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    shared: tuple[tuple[str, str], ...] = ()
    partners: Mapping[str, str] = field(default_factory=dict)

    def repeated_by(self, grads: Any, tensors: Sequence[Tensor]) -> bool:
        """Whether a plain dict of float64 arrays, the usual case, says the same again; False of all else."""
        if type(grads) is not dict or grads.keys() != self.partners.keys() or len(self.values) != len(tensors):
            return False
        shapes = {tensor.name: tensor.shape for tensor in tensors}
        named = ((self.partners[key], array) for key, array in grads.items())
        return all(
            type(array) is np.ndarray
            and array.dtype == np.float64
            and array.shape == shapes[name]
            and np.array_equal(array.reshape(-1), self.values[name])
            for name, array in named
        )

    def vector(self, tensors: Sequence[Tensor]) -> NDArray[np.float64]:
        """All coordinates in the order of the tensors, zero where nothing is claimed."""
        parts = [self.values.get(t.name, np.zeros(t.size)) for t in tensors]
        return np.concatenate(parts) if parts else np.empty(0)


def read_claims(grads: Any, structure: Structure, tensors: Sequence[Tensor], before: Claims | None = None) -> Claims:
    """Pairs a claimed gradient with the parameters.

    Args:
        grads: the user's nesting.
        structure: the nesting of parameters.
        tensors: the tensors that are checked.
        before: what the same function claimed at an earlier call; returned as it is where nothing has changed.

    Raises:
        InputError: no entry can be paired, or one is paired with an integer parameter.
    """
    if before is not None and before.repeated_by(grads, tensors):
        return before
    bare = structure.names == (structure.root,)
    if isinstance(grads, Flat):
        return _paired(dict(grads.entries), {}, structure, tensors, ())
    if _opaque(grads):
        raise refused_bare(structure.names, grads)
    claimed = Structure.of(grads, structure.root if bare else "grads")
    entries: dict[str, Any] = {leaf.name: leaf.value for leaf in claimed.leaves}
    entries |= {name: value for name, value in claimed.statics if isinstance(value, np.ndarray | np.generic | int)}
    if bare and len(entries) == 1:
        entries = {structure.root: next(iter(entries.values()))}
    others = {key: value for key, value in grads.items() if isinstance(key, str)} if isinstance(grads, dict) else {}
    others = {key: value for key, value in others.items() if _opaque(value) and key not in entries}
    if len(structure.names) > 1 and claimed.names == (claimed.root,):
        raise refused_bare(structure.names, grads)
    return _paired(entries, others, structure, tensors, claimed.leaves)


def _paired(
    entries: Mapping[str, Any],
    others: Mapping[str, Any],
    structure: Structure,
    tensors: Sequence[Tensor],
    leaves: Sequence[Leaf],
) -> Claims:
    """Claims by the names of what they were given as: arrays, and what is none; leaves say which share memory."""
    others = {**others, **{name: value for name, value in entries.items() if value is None}}
    pairing = pair(structure.names, [*entries, *others])
    _refuse_integers(structure, [name for name in pairing.extra if name in entries])
    if not pairing.pairs and structure.names:
        raise refused_pairing(structure.names, list(entries))
    values: dict[str, NDArray[np.float64]] = {}
    formats: dict[str, str] = {}
    misshapen: dict[str, NDArray[Any]] = {}
    findings: list[Finding] = []
    for tensor in tensors:
        partner = pairing.pairs.get(tensor.name)
        if partner is None:
            findings.append(_contract(tensor, "missing", f"No gradient of {tensor.name} was given.",
                                      f"Return an entry for {tensor.name}."))  # fmt: skip
            continue
        if partner in others:
            got = "None" if others[partner] is None else f"a {type(others[partner]).__name__}"
            message = f"The claimed gradient of {tensor.name} is {got} and not an array."
            findings.append(_contract(tensor, "missing", message, f"Compute {partner} and return it as an array."))
            continue
        array = np.asarray(entries[partner])
        formats[tensor.name] = format_of(entries[partner] if isinstance(entries[partner], np.ndarray) else array)
        found, flat = _flat(tensor, array, partner)
        findings += found
        if flat is None and array.dtype.kind == "f" and np.all(np.isfinite(array)):
            misshapen[tensor.name] = array
        if flat is not None:
            values[tensor.name] = flat
    notes = [f"Ignored what belongs to no parameter: {_names(pairing.extra)}."] if pairing.extra else []
    of = {partner: name for name, partner in pairing.pairs.items()}
    pairs = tuple((of[a], of[b]) for a, b in shared(leaves) if a in of and b in of)
    return Claims(values, formats, tuple(findings), tuple(notes), misshapen, pairs, of)


def refused_pairing(names: Sequence[str], claimed: Sequence[str]) -> InputError:
    """The error where nothing of a claim can be paired with a parameter."""
    return _refused(names, f"one with {_names(claimed)}")


def refused_bare(names: Sequence[str], given: Any) -> InputError:
    """The same of a claim without names."""
    shape = getattr(given, "shape", None)
    got = f"one array of shape {tuple(shape)}" if shape is not None else f"{given!r}"[:60]
    return _refused(names, got, "Perhaps its `return` is missing. " if given is None else "")


def _refused(names: Sequence[str], got: str, perhaps: str = "") -> InputError:
    return InputError.of(
        "pairing the claimed gradient with the parameters", "`grads`", f"a nesting with the names {_names(names)}", got,
        f"{perhaps}Return the gradient in the same nesting as the parameters (W1 or dW1 for W1); "
        "for a flat vector use gradproof.from_vector(vector, like=params).",
    )  # fmt: skip


def _opaque(value: Any) -> bool:
    """Whether an entry is no array and no nesting that could hold one."""
    return value is None or isinstance(value, str | bytes)


def _flat(tensor: Tensor, array: NDArray[Any], partner: str) -> tuple[list[Finding], NDArray[np.float64] | None]:
    """The claim as flat coordinates, with what is wrong with its form; None where it cannot be compared."""
    found: list[Finding] = []
    if array.dtype == np.float64 and array.shape == tensor.shape and not tensor.complex:  # the usual case
        usual = array.flatten()
        if np.isfinite(usual).all():
            return found, usual
    if array.shape != tensor.shape:
        same = array.size == np.prod(tensor.shape, dtype=int) and _squeezed(array.shape) == _squeezed(tensor.shape)
        message = f"The claimed gradient of {tensor.name} has shape {array.shape}, the parameter {tensor.shape}."
        fix = f"Give {partner} the shape {tensor.shape}."
        found.append(_contract(tensor, "layout" if same else "shape", message, fix, warn=same))
        if not same:
            return found, None
    if array.dtype.kind == "c" and not tensor.complex:
        if np.any(array.imag != 0):
            message = f"The claimed gradient of {tensor.name} is complex, the parameter is real."
            found.append(
                _contract(tensor, "complex", message, f"Return the real part of {partner} where that is meant.")
            )
            return found, None
        array = array.real
    if array.dtype.kind in "iub":
        message = (
            f"The claimed gradient of {tensor.name} has the integer dtype {array.dtype}, which cannot hold fractions."
        )
        found.append(_contract(tensor, "integer", message, f"Create {partner} with a float dtype.", warn=True))
    wide = array.astype(np.complex128 if tensor.complex else np.float64)
    flat = np.ascontiguousarray(wide).reshape(-1).view(np.float64)
    bad = ~np.isfinite(wide).reshape(tensor.shape)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0]) if bad.ndim else ()
        at = f"{tensor.name}[{', '.join(map(str, index))}]" if index else tensor.name
        value = NAN if np.isnan(wide).any() else INFINITE
        count = int(bad.sum())
        message = f"The claimed gradient of {tensor.name} is not finite in {count} of {bad.size} elements, first {at}."
        place = Place(at if count == 1 else f"{count} elements of {tensor.name}", {tensor.name: bad}, True)
        fix = f"Look for a division by zero, log(0), or an overflow where {partner} is computed."
        found.append(Finding("contract", "error", (tensor.name,), place, message, fix, detail=value))
        return found, None
    return found, flat


def _contract(tensor: Tensor, detail: str, message: str, fix: str, *, warn: bool = False) -> Finding:
    place = Place(f"all of {tensor.name}", {tensor.name: np.ones(tensor.shape, dtype=bool)}, exact=not warn)
    return Finding("contract", "warning" if warn else "error", (tensor.name,), place, message, fix, detail=detail)


def _refuse_integers(structure: Structure, names: Sequence[str]) -> None:
    statics = dict(structure.statics)
    for static, partner in pair(list(statics), names).pairs.items():
        value = statics[static]
        got = (
            f"an array of dtype {value.dtype}"
            if isinstance(value, np.ndarray)
            else f"the {type(value).__name__} {value}"
        )
        raise InputError.of(
            f"pairing {partner} with the parameters", static, "a float array, as a gradient is claimed for it", got,
            f"Convert it: {static}.astype(float); or leave {partner} out.",
        )  # fmt: skip


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _names(names: Sequence[str]) -> str:
    return ", ".join(list(names)[:8]) + (", ..." if len(names) > 8 else "") or "nothing"
