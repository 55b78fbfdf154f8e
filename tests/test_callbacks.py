"""The callback for loops written by hand: where it checks, what it leaves alone, and how its folder is built."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof import callbacks, network
from gradproof.callbacks import Loop

X, Y = (part[:, :32] for part in network.load_digits())
LONGEST = 80


def trained(grads: Any = network.gradients, **given: Any) -> tuple[Loop, Any]:
    """A loop by hand, all of it inside ``gradproof.training()``."""
    loop = Loop(network.cost, grads, args=(X, Y), options={"hidden": "tanh"}, **given)
    parameters = network.initialize_parameters((64, 5, 10), seed=0)
    step = network.training_step(X, Y, seed=1, hidden="tanh", mini_batch_size=8, keep_prob=0.9)
    with gp.training():
        for i in range(12):
            loop.check_at(i, parameters)
            parameters = step(parameters, i)
    return loop, parameters


def halved_later(parameters: Any, *args: Any, **options: Any) -> Any:
    """Wrong as soon as the biases have moved away from zero."""
    grads = network.gradients(parameters, *args, **options)
    return {**grads, "db1": grads["db1"] * (0.5 if np.any(parameters["b1"]) else 1.0)}


def test_it_checks_at_its_steps_and_at_no_other() -> None:
    loop, _ = trained(steps=(0, 3, 10))
    assert list(loop.stages) == ["initialisation", "step 3", "step 10"]
    assert loop.stages.passed
    assert list(trained()[0].stages) == ["initialisation"]  # step 1000 has not come


def test_training_goes_the_same_way_with_and_without_it() -> None:
    with_checks, without = trained(steps=(0, 5, 11))[1], trained(steps=(999,))[1]
    assert all(np.array_equal(with_checks[name], without[name]) for name in without)


def test_a_step_is_checked_once() -> None:
    loop = Loop(lambda w: float(w @ w), lambda w: 2 * w)
    assert loop.check_at(0, np.ones(3))
    assert loop.check_at(0, np.ones(3)) is None
    assert loop.check_at(1, np.ones(3)) is None
    assert loop.check_at(1000, np.ones(3))


def test_a_wrong_gradient_stops_training_or_is_kept_for_later() -> None:
    with pytest.raises(gp.GradientError, match="step 3"):
        trained(halved_later, steps=(0, 3))
    loop, _ = trained(halved_later, steps=(0, 3), raise_if_wrong=False)
    assert loop.stages.verdict == "wrong"
    assert loop.stages.findings[0].regime.name == "zero" or loop.stages.findings[0].right_at == ("initialisation",)


def test_other_checks_in_training_are_still_refused() -> None:
    loop = Loop(lambda w: float(w @ w), lambda w: 2 * w)
    with gp.training():
        assert loop.check_at(0, np.ones(3))
        with pytest.raises(gp.CheckDuringTraining):
            gp.check(lambda w: float(w @ w), np.ones(3), lambda w: 2 * w)


def test_steps_by_hand_are_no_loop_of_checks(recwarn: pytest.WarningsRecorder) -> None:
    loop = Loop(lambda w: float(w @ w), lambda w: 2 * w, steps=range(60))
    w = np.ones(8)
    for i in range(60):
        loop.check_at(i, w)
        w = w * 0.99
    assert len(loop.stages) == 60
    assert not [one for one in recwarn if one.category is gp.CheckCostWarning]


def test_switched_off_it_does_nothing(monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    monkeypatch.setenv("GRADPROOF", "off")
    report = Loop(lambda w: 1 / 0, lambda w: w).check_at(0, np.ones(3))
    assert report is not None
    assert report.verdict == "undecided"
    assert not list(recwarn)


@pytest.mark.parametrize("steps", [(), (-1,), (1.5,), (True,), "0", None])
def test_bad_steps_are_refused(steps: Any) -> None:
    with pytest.raises(gp.InputError, match="`steps` should be whole numbers"):
        Loop(lambda w: 0.0, lambda w: w, steps=steps)


def test_the_first_batch_is_kept_for_all_steps() -> None:
    seen: list[float] = []

    def cost(w: Any, X: Any) -> float:
        seen.append(float(X[0]))
        return float(w @ w * X[0])

    loop = Loop(cost, lambda w, X: 2 * w * X[0], steps=(0, 1))
    for step in (0, 1):
        X = np.array([2.0 + step])
        loop.check_at(step, np.ones(3), X)
        X[:] = 9.0
    assert loop.stages.passed
    assert set(seen) == {2.0}


def test_bad_settings_are_refused() -> None:
    with pytest.raises(gp.InputError, match="`grads` should be a function"):
        Loop(lambda w: 0.0, np.ones(3))
    with pytest.raises(TypeError, match="step"):
        Loop(lambda w: 0.0, lambda w: w, step=(0,))


def test_each_file_of_the_folder_is_short_and_none_is_loaded_unasked() -> None:
    folder = Path(callbacks.__file__).parent
    files = sorted(folder.glob("*.py"))
    shipped = {"__init__.py", "loop.py", "lightning.py", "transformers.py", "skorch.py", "keras.py"}
    assert {path.name for path in files} == shipped
    for path in files:
        assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST, path.name
    face = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(face) if isinstance(node, ast.ImportFrom)}
    assert imported == {"gradproof.callbacks.loop"}
