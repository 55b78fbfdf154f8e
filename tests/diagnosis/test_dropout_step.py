from typing import Any

import numpy as np
import pytest
from rebuilt import check, hidden, model, named, nothing

KEEP = {"keep_prob": 0.7, "seed": 3}


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize(
    ("detail", "mask"),
    [
        ("mask missing", lambda dA, run, k: dA / run.keep_prob),
        ("mask and 1/keep_prob missing", lambda dA, run, k: dA),
        ("one example late", lambda dA, run, k: dA * np.roll(run.D[k], 1, axis=1) / run.keep_prob),
    ],
)
def test_masks(layer: int, detail: str, mask: Any) -> None:
    fault = {("mask", layer): lambda dA, run: mask(dA, run, layer)}
    named(check(model(), fault, options=KEEP), "dropout", *hidden(layer), detail=detail)


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize(("detail", "power"), [("1/keep_prob missing", 0), ("1/keep_prob twice", 2)])
def test_scales(layer: int, detail: str, power: int) -> None:
    fault = {("mask", layer): lambda dA, run: dA * run.D[layer] / run.keep_prob**power}
    errors = check(model(), fault, options=KEEP).findings
    assert {f.cause for f in errors} == {"dropout"}
    assert {name for f in errors for name in f.tensors} == set(hidden(layer))
    assert {f.detail for f in errors} == {detail}


def test_unknown_masks_are_seen_with_single_examples() -> None:
    net = model()

    def cost(params: Any, X: Any, Y: Any, **options: Any) -> Any:
        return net.cost(params, X, Y, **{**options, "seed": 1001})

    def grads(params: Any, X: Any, Y: Any, **options: Any) -> Any:
        fault = {("mask", 2): lambda dA, run: dA / run.keep_prob}
        return net.grads(params, X, Y, fault=fault, **{**options, "seed": 1001})

    report = check(net, cost=cost, grads=grads, options={"keep_prob": 0.5})
    named(report, "dropout", *hidden(2), detail="mask missing", proven=False)


def test_near_miss_and_right() -> None:
    nothing(check(model(), {("mask", 2): lambda dA, run: dA}))
    nothing(check(model(), options=KEEP))
