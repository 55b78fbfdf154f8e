"""Checks inside training loops: at a few stated steps, and nowhere else.

The decision behind it: a callback checks where its user said, restores everything, and is exempt from
``gradproof.training()``. Each framework has a file of its own here that translates its hooks into ``Loop``, imports
nothing but what it translates, and is imported by whoever uses it: ``from gradproof.callbacks.NAME import
GradientCheck``, NAME being lightning, transformers, skorch or keras. This package itself offers what needs none.
"""

from gradproof.callbacks.loop import Loop

__all__ = ["Loop"]
