"""The same check at several times in training, with one verdict.

The decision behind it: a gradient that is right where everything is small may be wrong where something saturates,
overflows, is clipped or crosses a threshold. So a stage is nothing but the parameters at some moment, and a fault that
only some stages show is looked at on the way between them.
"""

from gradproof._stages.stages import Stages

__all__ = ["Stages"]
