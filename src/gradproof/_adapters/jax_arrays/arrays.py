"""JAX's arrays and NumPy's, and the precision that JAX computes in.

The decision behind it: JAX's arrays cannot be written to, so the engine's numbers are copied into new ones, on the
devices of the user's own. Double precision is JAX's own switch, thrown for the time of one call and in this thread
alone.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradproof._errors import InputError
from gradproof._records import BFloat16

#: Formats that a check moves, and the NumPy format that holds all their numbers.
HELD = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.float32,
    "complex128": np.complex128,
    "complex64": np.complex64,
}
#: Formats that are evaluated at copies in double precision.
LOWER = ("float32", "float16", "bfloat16", "complex64")


def double() -> AbstractContextManager[Any]:
    """JAX with 64 bits, whatever the user has switched on, until it is left."""
    if hasattr(jax, "enable_x64"):
        entered: AbstractContextManager[Any] = jax.enable_x64(True)
        return entered
    from jax.experimental import enable_x64  # before it was given its lasting name

    older: AbstractContextManager[Any] = enable_x64(True)
    return older


def is_array(value: Any) -> bool:
    """Whether a value is an array with numbers, and not the stand-in for one while a function is traced."""
    return isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)


def is_inexact(value: Any) -> bool:
    """Whether a value is an array, of JAX or of NumPy, of floating-point or complex numbers."""
    if not isinstance(value, jax.Array | np.ndarray):
        return False
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


def is_lower(dtype: Any) -> bool:
    """Whether a format is one of less than double precision."""
    return str(dtype) in LOWER


def wider(dtype: Any) -> np.dtype[Any]:
    """The same kind of number in double precision."""
    return np.dtype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64)


def wide(value: Any) -> Any:
    """A double-precision copy of an array of less; everything else as it is."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or not isinstance(value, jax.Array | np.ndarray | np.generic) or not is_lower(dtype):
        return value
    return jnp.asarray(value, dtype=wider(dtype))


def array_of(value: Any) -> NDArray[Any]:
    """The numbers of an array of JAX, gathered from wherever they lie."""
    if str(value.dtype) == "bfloat16":
        return np.array(value.astype(np.float32)).view(BFloat16)
    return np.array(value)


def numbers_of(value: Any) -> NDArray[Any] | None:
    """The same of an array that holds numbers; None for keys of random numbers and while functions are traced."""
    plain_numbers = is_array(value) and not jnp.issubdtype(value.dtype, jax.dtypes.extended)
    return array_of(value) if plain_numbers else None


def refuse(value: Any, name: str) -> None:
    """Refuses arrays of formats that are not moved.

    Raises:
        InputError: the format is one of eight bits or fewer.
    """
    if str(value.dtype) not in HELD:
        raise InputError.of(
            "reading the arrays to be checked", name, f"of one of the formats {', '.join(HELD)}",
            f"of dtype {value.dtype}", "Convert it with .astype(jnp.float32).",
        )  # fmt: skip


def placed(array: NDArray[Any], like: Any, *, native: bool) -> Any:
    """The engine's numbers as the user's code is given them.

    Args:
        array: the numbers; with one more axis in front they are several sets.
        like: the user's array.
        native: whether in the user's own format, and not in double precision.
    """
    dtype = like.dtype if native else wider(like.dtype)
    found = np.array(array, dtype=dtype, subok=False)
    if np.ndim(array) != like.ndim or not elsewhere(like):
        return found
    return jax.device_put(found, like.sharding)


def of_array(array: NDArray[Any], like: Any) -> Any:
    """Other numbers as an array of the user's format."""
    wide_format = not is_lower(like.dtype) and like.dtype.itemsize > 4
    with double() if wide_format else nullcontext():
        return jnp.array(np.array(array, subok=False), dtype=like.dtype)


def elsewhere(like: Any) -> bool:
    """Whether an array lies anywhere but on the device where new ones do."""
    devices = like.devices()
    return len(devices) > 1 or bool(getattr(like, "committed", False))


def plain(returned: Any) -> Any:
    """A returned cost as NumPy knows it."""
    if not is_array(returned):
        return returned
    array = array_of(returned)
    if array.size == 1 and array.dtype.kind == "f":
        return np.float64(array.reshape(()))
    return np.asarray(array)
