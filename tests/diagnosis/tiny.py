"""The smallest network in which causes by experiment can be told apart, and what a test asks of a report."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import gradproof as gp
from planted.base import Array, Model, Tree
from planted.course import Fault, Network, batch, initial

Finding = gp.Finding


def tiny(activation: str = "tanh", **options: Any) -> Model:
    """A network of three layers and 41 parameters with weight decay."""
    rng = np.random.default_rng(3)
    network = Network(activation)
    params = initial(rng, (3, 4, 3, 2), activation)
    return Model("tiny", network.cost, network.grads, params, batch(rng, 3, 2, 5), 1, {"lambd": 0.8, **options})


def check(model: Model, grads: Any = None, *, fault: Fault | None = None, data: bool = True, **more: Any) -> gp.Report:
    """Checks a network with a gradient of its own, with its own and a fault, or with its right one."""

    def faulty(params: Tree, *data: Array, **options: Any) -> Tree:
        return model.grads(params, *data, fault=fault, **options)

    whole: dict[str, Any] = {"examples_axis": 1, "data": model.data} if data else {"args": model.data}
    whole |= {"options": dict(model.options), **more}
    return gp.check(model.cost, model.params, grads or faulty, **whole)


def only(report: gp.Report) -> Finding:
    """The one finding of a report."""
    assert len(report.findings) == 1, [(f.cause, f.detail, f.tensors) for f in report.findings]
    return report.findings[0]


def one(cost: Callable[..., float], params: Mapping[str, Array], grads: Any, **more: Any) -> gp.Report:
    """Checks a cost of its own."""
    return gp.check(cost, dict(params), grads, **more)
