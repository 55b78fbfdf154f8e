"""A plan says what the checks then take, and makes none of them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof import network
from gradproof._cli.main import main
from gradproof._report import wording
from gradproof.network.types import Hidden

X, Y = (part[:, :16] for part in network.load_digits())
PARAMETERS = network.initialize_parameters((64, 5, 10), seed=0)


def counted(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    calls = [0]

    def wrapper(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        return function(*args, **options)

    return wrapper, calls


@pytest.mark.parametrize("given", ["callable", "arrays", "True"])
@pytest.mark.parametrize("hidden", ["tanh", "relu"])
def test_evaluations_are_as_planned(given: str, hidden: Hidden) -> None:
    options: dict[str, Any] = {"data": (X, Y), "options": {"hidden": hidden, "lambd": 0.7}}
    cost: Any = network.cost
    grads: Any = network.gradients
    if given == "arrays":
        grads = network.gradients(PARAMETERS, X, Y, hidden=hidden, lambd=0.7)
    elif given == "True":

        def cost(*args: Any, **options: Any) -> Any:
            return network.cost(*args, **options), network.gradients(*args, **options)

        grads = True
    plan = gp.plan(cost, PARAMETERS, grads, **options)
    assert (plan.parameters, plan.tensors) == (385, 4)
    for method in ("auto", "exhaustive", "classic"):
        report = gp.check(cost, PARAMETERS, grads, method=method, **options)
        few, many = plan.methods[method].evaluations
        assert few <= report.evaluations <= many, method
        assert (few == many) == (method == "classic")


def test_a_plan_takes_a_few_evaluations_and_says_how_many() -> None:
    cost, calls = counted(network.cost)
    plan = gp.plan(cost, PARAMETERS, network.gradients, args=(X, Y))
    assert calls[0] == plan.evaluations <= 15


def test_a_plan_leaves_parameters_and_random_numbers_as_they_were() -> None:
    kept = {name: array.copy() for name, array in PARAMETERS.items()}
    state = random.getstate()
    plan = gp.plan(lambda w: float(np.sum(w) * random.random()), np.ones(3), lambda w: w)
    assert plan.random == ("Python's random module",)
    assert random.getstate() == state
    gp.plan(network.cost, PARAMETERS, network.gradients, args=(X, Y))
    assert all(np.array_equal(kept[name], array) for name, array in PARAMETERS.items())


def test_seconds_follow_from_evaluations() -> None:
    plan = gp.plan(network.cost, PARAMETERS, network.gradients, args=(X, Y))
    for expense in plan.methods.values():
        for evaluations, seconds in zip(expense.evaluations, expense.seconds, strict=True):
            assert seconds >= evaluations * plan.evaluation > 0.0


def test_memory_is_about_what_a_check_holds() -> None:
    import tracemalloc

    w = np.random.default_rng(0).standard_normal(3000)

    def cost(w: Any) -> float:
        return float(np.sum(np.sin(w)))

    for method, expense in gp.plan(cost, w, np.cos).methods.items():
        gp.check(cost, w[:5], np.cos, method=method)  # what is loaded once does not count
        tracemalloc.start()
        gp.check(cost, w, np.cos, method=method)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert expense.memory / 4 < peak < 4 * expense.memory, method


def test_bad_input_is_refused_as_a_check_refuses_it() -> None:
    with pytest.raises(gp.InputError):
        gp.plan(network.cost, {}, network.gradients)
    with pytest.raises(gp.InputError, match="method"):
        gp.plan(network.cost, PARAMETERS, network.gradients, method="best")
    with pytest.raises(TypeError, match="tolerances"):
        gp.plan(network.cost, PARAMETERS, network.gradients, tolerances=1)


def test_planning_is_allowed_in_training_and_where_checks_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with gp.training():
        assert gp.plan(network.cost, PARAMETERS, network.gradients, args=(X, Y)).parameters == 385
    monkeypatch.setenv("GRADPROOF", "off")
    assert gp.plan(network.cost, PARAMETERS, network.gradients, args=(X, Y)).parameters == 385


def test_a_plan_is_a_table_and_a_dictionary() -> None:
    plan = gp.plan(network.cost, PARAMETERS, network.gradients, args=(X, Y))
    shown = str(plan)
    assert "385 parameters in 4 tensors" in shown
    assert all(name in shown for name in ("auto, probe", "exhaustive", "classic"))
    assert max(map(len, shown.splitlines())) <= 80
    known = json.loads(json.dumps(plan.to_dict()))
    assert known["methods"]["classic"]["evaluations"] == [*plan.methods["classic"].evaluations]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (4.44e7, "44 MB"), (9.996e8, "1000 MB"), (2e15, "2,000.0 TB")],
)
def test_sizes_in_words(size: float, text: str) -> None:
    assert wording.memory(size) == text


def test_long_times_in_words() -> None:
    assert wording.duration(7_260.0) == "2 h 1 min"


CASES = """
import numpy as np
import gradproof as gp

def cost(w): return float(np.sum(w ** 4))

@gp.case
def two():
    first = gp.check(cost, np.ones(3), lambda w: 4 * w ** 3)
    assert first.passed, "checks are not made, so this fails"
    return gp.check(cost, np.ones(5), lambda w: 4 * w ** 3)

@gp.case
def one():
    return gp.check(cost, np.ones(7), lambda w: 4 * w ** 3)

@gp.case
def none():
    return None
"""


def test_the_command_plans_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "planned.py"
    path.write_text(CASES, encoding="utf-8")
    assert main(["plan", f"{path}::one"]) == 0
    shown = capsys.readouterr()
    assert "7 parameters in 1 tensor" in shown.out
    assert "CORRECT" not in shown.out
    assert main(["plan", str(path)]) == 2
    shown = capsys.readouterr()
    assert "3 parameters in 1 tensor" in shown.out
    assert "::none could not run" in " ".join(shown.err.split())
    assert main(["plan", str(tmp_path / "missing.py")]) == 2
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    assert main(["plan", str(tmp_path / "empty.py")]) == 5
