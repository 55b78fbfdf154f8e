"""How records are made that a check makes by the hundred.

The decision behind it: that a record stays as it is, the type checker sees to. At run time ``frozen`` sets every field
by a call, which takes four times as long as all else about making one. What people are given stays frozen.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen: bool, slots: bool = False) -> Any:
        """A data class that is as it says to a type checker, and quick to make."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["record"]
