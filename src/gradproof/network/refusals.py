"""What the network says when it cannot work with what it was given.

The decision behind it: every refusal has the four parts that let a reader repair the call without opening this code,
and the shapes are checked where a wrong one would otherwise broadcast and give a plausible number.
"""

from collections.abc import Collection, Mapping

from gradproof.network.types import Array


def refusal(doing: str, what: str, demanded: str, got: str, todo: str) -> ValueError:
    """Builds the error from its parts, so that none can be forgotten."""
    return ValueError(f"While {doing}: {what} should be {demanded}, but is {got}. {todo}")


def demand_choice(doing: str, what: str, value: str, choices: Collection[str]) -> None:
    """Raises ValueError unless ``value`` is one of ``choices``."""
    if value not in choices:
        names = ", ".join(repr(choice) for choice in sorted(choices))
        raise refusal(doing, what, f"one of {names}", repr(value), "Choose one of the names listed.")


def demand_shape(doing: str, what: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless ``array`` has exactly this shape."""
    if array.shape != shape:
        todo = "Examples are columns: X is (n_0, m), Y is (n_L, m), W_l is (n_l, n_{l-1}) and b_l is (n_l, 1)."
        raise refusal(doing, what, f"of shape {shape}", f"of shape {array.shape}", todo)


def demand_examples(doing: str, X: Array, Y: Array) -> None:
    """Raises ValueError unless X and Y are matrices with the same, positive number of columns."""
    for what, array in (("X", X), ("Y", Y)):
        if array.ndim != 2 or array.shape[1] == 0:
            todo = "Put one example in each column."
            raise refusal(doing, what, "a matrix with at least one column", f"of shape {array.shape}", todo)
    demand_shape(doing, "Y", Y, (Y.shape[0], X.shape[1]))


def count_layers(doing: str, parameters: Mapping[str, Array]) -> int:
    """Returns L; raises ValueError unless the names are exactly W1, b1, ..., WL, bL."""
    layers = len(parameters) // 2
    names = {f"{letter}{layer}" for layer in range(1, layers + 1) for letter in "Wb"}
    if not names or set(parameters) != names:
        got = ", ".join(map(str, parameters)) or "empty"
        raise refusal(doing, "parameters", "a dictionary with W1, b1, ..., WL, bL", got, "Rename or add the entries.")
    return layers
