"""The guard knows for certain where an optimizer moves what one line checks again and again."""

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gradproof as gp
from gradproof import _guard

pytest.importorskip("torch")
import torch

X = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    _guard._lines.clear()
    yield
    _guard._lines.clear()


def net(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return torch.nn.Linear(3, 2, dtype=torch.float64)


def cost(net: Any, x: Any) -> Any:
    return (net(x) ** 4).mean()


def check_module(net: Any) -> None:
    gp.check_module(net, cost, args=(X,))


def check_detached(net: Any) -> None:
    params = {name: p.detach() for name, p in net.named_parameters()}
    gp.check(lambda p: ((X @ p["weight"].T + p["bias"]) ** 4).mean(), params)


def check_live(net: Any) -> None:
    gp.check(lambda: cost(net, X), list(net.parameters()))


def stepper(net: Any, rate: float = 0.01) -> Callable[..., None]:
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)

    def step(times: int = 1) -> None:
        for _ in range(times):
            optimizer.zero_grad()
            cost(net, X).backward()
            optimizer.step()

    return step


def warned(work: Callable[[], None]) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        work()
    return [str(one.message) for one in seen if one.category is gp.CheckCostWarning]


def loop(check: Callable[[Any], None], calls: int, steps: int = 1, rate: float = 0.01) -> Callable[[], None]:
    def work() -> None:
        model = net()
        step = stepper(model, rate)
        for _ in range(calls):
            check(model)
            step(steps)

    return work


@pytest.mark.parametrize("check", [check_module, check_detached, check_live])
def test_the_third_check_between_steps_is_warned_of_once(check: Any) -> None:
    assert warned(loop(check, 2)) == []
    _guard._lines.clear()
    (message,) = warned(loop(check, 25))
    assert "has checked the same parameters 3 times with an optimizer's step before each further one" in message


def test_large_steps_are_steps_as_well() -> None:
    assert len(warned(loop(check_module, 3, rate=5.0))) == 1


def test_parameters_that_are_checked_where_they_live_are_guarded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradproof._adapters.pytorch.residing.LARGE", 1)
    assert warned(loop(check_module, 2)) == []
    _guard._lines.clear()
    assert len(warned(loop(check_module, 3))) == 1


def test_stages_far_apart_are_no_loop() -> None:
    assert warned(loop(check_module, 4, steps=_guard.FEW + 1)) == []


def test_checks_without_steps_between_them_are_no_training() -> None:
    def work() -> None:
        model = net()
        stepper(model)()
        for _ in range(5):
            check_module(model)

    assert warned(work) == []


def test_another_models_steps_do_not_count() -> None:
    def work() -> None:
        model, step = net(), stepper(net(1))
        for _ in range(5):
            check_module(model)
            step()

    assert warned(work) == []


@pytest.mark.parametrize("first", ["train", "check"])
def test_independent_models_that_are_trained_and_checked_are_no_loop(first: str) -> None:
    def work() -> None:
        for seed in range(6):
            model = net(seed)
            step = stepper(model)
            if first == "train":
                step(3)
            check_module(model)
            step(3)

    assert warned(work) == []


def test_a_chain_is_broken_by_another_model() -> None:
    def work() -> None:
        models = [net(seed) for seed in range(2)]
        steps = [stepper(model) for model in models]
        for i in range(8):
            check_module(models[i // 2 % 2])
            steps[i // 2 % 2]()

    assert warned(work) == []


def test_steps_are_counted_from_the_first_check_of_tensors_on_and_not_before() -> None:
    code = (
        "import sys, numpy as np, torch, gradproof as gp\n"
        "from torch.optim.optimizer import _global_optimizer_pre_hooks as hooks\n"
        "gp.check(lambda w: float(w @ w), np.ones(3), lambda w: 2 * w)\n"
        "assert not hooks\n"
        "for _ in range(3):\n"
        "    gp.check(lambda w: w @ w, torch.ones(3, dtype=torch.float64))\n"
        "    assert len(hooks) == 1\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
