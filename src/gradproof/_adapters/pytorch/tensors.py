"""Tensors and arrays: two views of the same memory, and what cannot be viewed.

The decision behind it: what the engine moves are NumPy arrays, and what it hands to the user's functions are tensors
that look at them; a copy is made only where the user's own layout in memory must be kept, since kernels may depend on
it. What has no plain numbers in the processor's memory is refused by name.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradproof._errors import InputError
from gradproof._records import BFloat16

#: Formats of floating-point numbers that a check moves, and the NumPy format that holds all their values.
HELD = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.bfloat16: np.float32,
    torch.complex128: np.complex128,
    torch.complex64: np.complex64,
}
#: Formats that are evaluated at copies in float64.
LOWER = (torch.float32, torch.float16, torch.bfloat16, torch.complex64)


def is_moved(value: Any) -> bool:
    """Whether a value is a tensor of numbers that can be differentiated."""
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def wider(dtype: torch.dtype) -> torch.dtype:
    """The same kind of number in double precision."""
    return torch.complex128 if dtype.is_complex else torch.float64


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """The numbers of a tensor, without a copy where NumPy knows the format and they lie in the processor's memory."""
    plain = tensor.detach()
    if plain.is_conj() or plain.is_neg():
        plain = plain.resolve_conj().resolve_neg()
    if torch._is_zerotensor(plain):  # stands for zeros without holding any
        plain = torch.zeros(plain.shape, dtype=plain.dtype)
    if plain.device.type != "cpu":
        plain = plain.cpu()
    if plain.dtype is torch.bfloat16:
        return np.asarray(plain.float().numpy()).view(BFloat16)
    return np.asarray(plain.numpy())


def view_of(tensor: torch.Tensor) -> NDArray[Any] | None:
    """An array that looks at a tensor's memory; None where there is no such thing."""
    plain = tensor.device.type == "cpu" and tensor.layout is torch.strided and not tensor.is_quantized
    if not plain or tensor.is_conj() or tensor.is_neg() or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return None
    known = tensor.dtype in HELD or not (tensor.is_floating_point() or tensor.is_complex())
    return tensor.detach().numpy() if known and tensor.dtype is not torch.bfloat16 else None


def moved_array(value: Any) -> NDArray[Any] | None:
    """A tensor that a check can move as an array; None for other things."""
    if not is_moved(value):
        return None
    refuse(value, "a tensor")
    return array_of(value)


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """A gradient with all of its zeros: a sparse one, as an embedding's may be, leaves them out."""
    return tensor if tensor.layout is torch.strided else tensor.to_dense()


def claimed_array(value: Any) -> NDArray[Any] | None:
    """A claimed gradient as an array; None for other things."""
    return moved_array(dense(value)) if isinstance(value, torch.Tensor) else None


def refuse(tensor: torch.Tensor, name: str) -> None:
    """Refuses tensors without plain numbers, and a place where no gradient can be computed.

    Raises:
        InputError: the tensor is sparse, masked, quantised, nested, without numbers, or of a format that is not moved;
            or the check is made inside ``torch.inference_mode()``.
    """
    if torch.is_inference_mode_enabled():
        raise InputError.of(
            "reading the tensors to be checked", "torch.inference_mode()", "left for the check, as it keeps no graph",
            "on", "Call the check outside of it; torch.no_grad() is no hindrance.",
        )  # fmt: skip
    got, todo = "", ""
    if tensor.is_nested:
        got, todo = "a nested one", "Pass its parts as a list of tensors."
    elif "MaskedTensor" in {cls.__name__ for cls in type(tensor).__mro__}:
        got, todo = "a masked one", "Pass its data, and the mask as an argument that is not differentiated."
    elif tensor.layout is not torch.strided:
        got = str(tensor.layout).removeprefix("torch.")
        todo = "Pass `.to_dense()`, or its values as the parameter."
    elif tensor.is_quantized or tensor.dtype not in HELD:
        got, todo = f"of dtype {tensor.dtype}", "Convert it with `.float()`."
    elif tensor.device.type == "meta":
        got, todo = "on the meta device, without numbers", "Materialise it first."
    if got:
        doing = "reading the tensors to be checked"
        raise InputError.of(doing, name, "a dense tensor of floating-point or complex numbers", got, todo)


def tensor_of(array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """An array as a tensor: a view of it, or a copy in the layout of the user's where that is not the plain one."""
    if array.dtype == np.longdouble or array.dtype == np.clongdouble:
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    found = torch.from_numpy(array if type(array) is np.ndarray and array.flags.writeable else _writable(array))
    if like.is_contiguous() or found.numel() < 2 or not _dense(like):
        return found
    laid_out = torch.empty_strided(like.shape, like.stride(), dtype=found.dtype)
    return laid_out.copy_(found)


def _writable(array: NDArray[Any]) -> NDArray[Any]:
    return np.require(array, requirements="W")


def _dense(tensor: torch.Tensor) -> bool:
    """Whether each element has a place of its own in memory."""
    steps = sorted(
        ((stride, size) for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1),
        key=lambda pair: pair[0],
    )
    reach = 1
    for stride, size in steps:
        if stride < reach:
            return False
        reach = stride * (size - 1) + reach
    return True


def of_array(array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """Other numbers as a tensor of the user's format, on the same device, that requires a gradient where that did."""
    found = torch.from_numpy(np.array(array, subok=False)).to(device=like.device, dtype=like.dtype)
    return found.requires_grad_() if like.requires_grad else found
