"""Layers by the numbers that the user knows them by.

Where only a stretch of a network was worked out again its layers are counted from 1 on inside; what is said of them
counts from the first layer of the whole.
"""

import re
from dataclasses import replace

from gradproof._diagnosis.case import Case, Explanation

#: ``layer 2``, ``layers 1, 2 and 3``, ``Z2``, ``dZ2``, ``A1``, ``dA1``, ``db2``.
_COUNTED = re.compile(r"\blayers? \d+(?:(?:, | and | to layer )\d+)*|\b(?:d?[ZA]|db)\d+\b")
_NUMBER = re.compile(r"\d+")


def first_number(case: Case, weight: int) -> int:
    """The number of the layer that a weight belongs to: the user's own, or its place in the network, from 1 on."""
    for place, layer in enumerate(case.layers, start=1):
        if weight in layer.tensors:
            return int(layer.key) if layer.key.isdigit() else place
    return 1


def counted_from(explanation: Explanation, first: int) -> Explanation:
    """An explanation whose layers, counted from 1 on, are counted from another number on."""
    if first == 1:
        return explanation
    return replace(
        explanation,
        message=_shifted(explanation.message, first - 1),
        fix=_shifted(explanation.fix, first - 1),
        detail=_shifted(explanation.detail, first - 1),
    )


def _shifted(text: str, by: int) -> str:
    def shift(found: re.Match[str]) -> str:
        return _NUMBER.sub(lambda number: str(int(number.group()) + by), found.group())

    return _COUNTED.sub(shift, text)
