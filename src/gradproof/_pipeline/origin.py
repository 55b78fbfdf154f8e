"""Where the claimed gradient is written.

The decision behind it: the compiled function says its file and lines by itself, so no source is read, and a report can
say where to look wherever the file has gone since.
"""

import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

from gradproof._records import Origin


def origin(cost: Callable[..., Any], grads: Any) -> Origin | None:
    """The function that computes the claimed gradient; None where it is none of the user's own in Python.

    Args:
        cost: the cost, which returns the gradient as well where ``grads`` is True.
        grads: the claimed gradient, as ``check`` takes it.
    """
    return _origin(cost if grads is True else grads)


def origin_of_backward(function: Callable[..., Any], vjp: Any) -> Origin | None:
    """The backward pass of a function: ``vjp``, or the ``backward`` of the class whose ``apply`` the function is."""
    return _origin(getattr(getattr(function, "__self__", None), "backward", None) if vjp is None else vjp)


def _origin(function: Any) -> Origin | None:
    if not callable(function):
        return None
    code = _code(function)
    if code is None or code.co_filename.startswith("<"):  # typed in at a prompt
        return None
    return Origin(code.co_qualname, code.co_filename, code.co_firstlineno, _last_line(code))


def _code(function: Any) -> CodeType | None:
    """What was compiled for a function, a method, a partial, a wrapped function or an object that can be called."""
    for _ in range(10):  # wrappers around wrappers
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(code := getattr(function, "__code__", None), CodeType):
            return code
        else:
            function = type(function).__call__ if callable(function) else None
    return None


@functools.lru_cache(maxsize=64)
def _last_line(code: CodeType) -> int:
    own = (line for _, _, line in code.co_lines() if line)
    inner = (_last_line(one) for one in code.co_consts if isinstance(one, CodeType))
    return max([code.co_firstlineno, *own, *inner])
