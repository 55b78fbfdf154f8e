"""``upstream``: the fault enters at one layer and spoils every gradient below it.

From the gradients alone the step into that layer cannot be taken apart further: the derivative of its activation, the
matrix that carries the cotangent back and a mask between the two leave the same pattern.
"""

from collections.abc import Sequence

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.layers import Layer

#: How the inputs of functions are called.
INPUT = "inputs["
#: What else would spoil everything below a layer.
INTO_A_LAYER = ("activation-derivative", "transposed", "dropout", "missing-path", "early-update", "wrong-cache")
AT_THE_OUTPUT = ("other-loss", "missing-path", "activation-derivative", "stale")


def explain(case: Case) -> Sequence[Explanation]:
    """The layer at which everything goes wrong, if one fits the pattern of wrong layers."""
    if any(tensor.name.startswith(INPUT) for tensor in case.tensors):
        return []  # the inputs of one function stand beside one another, and not above
    layers = [layer for layer in case.layers if layer.weights or layer.biases]
    if sum(len(layer.tensors) > 1 or layer.key[-1:].isdigit() for layer in layers) < 2:
        return []  # names that tell of no layers tell of no order either
    if not any(layer.weights for layer in layers):
        return []  # numbers and vectors in a list are no layers
    last = entry(case, layers)
    if last is None:
        return []
    spoilt = tuple(s.index for s in case.open if any(s.index in layer.tensors for layer in layers[: last + 1]))
    if not spoilt or len(spoilt) < 2:
        return []
    top = last == len(layers) - 1
    name = f"layer {layers[last].key}" if layers[last].key.isdigit() else case.names(layers[last].tensors)
    where = "at the output" if top else f"at {name}"
    below = "all gradients from there down are wrong" if last else "the gradients there are wrong"
    message = f"The fault enters {where}: {below}, everything above is right."
    if top:
        message = (
            f"All gradients are wrong, from {name} down: the fault enters where the backward pass starts, or lies in "
            "something that all of it uses."
        )
    fix = (
        f"Look at the backward step into {name}: the derivative of its activation, the weights of the layer above that "
        "carry the error back to it, masks between the two."
        if not top
        else "Look at the first line of the backward pass, and at the data and parameters it is given."
    )
    return [Explanation("upstream", spoilt, message, fix, {}, where, 6.0, also=AT_THE_OUTPUT if top else INTO_A_LAYER)]


def entry(case: Case, layers: Sequence[Layer]) -> int | None:
    """The highest layer that is wrong through and through, with all below it wrong and nothing above; else None.

    Undecided tensors fit any pattern, but the layer that is named must be wrong itself.
    """
    if len(layers) < 2:
        return None
    wrong = [[case.verdicts.get(i) != "correct" for i in layer.tensors] for layer in layers]
    proven = [[case.verdicts.get(i) == "wrong" for i in layer.tensors] for layer in layers]
    open_ = {s.index for s in case.open}
    explained = [i for layer in layers for i in layer.tensors if i in case.explained]
    last = max((k for k, layer in enumerate(layers) if open_ & set(layer.tensors)), default=-1)
    if (
        last < 0
        or set(explained) & set(layers[last].tensors)
        or not all(all(row) for row in wrong[: last + 1])
        or not any(proven[last])
    ):
        return None
    return last
