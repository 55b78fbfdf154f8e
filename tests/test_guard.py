"""Training is declared or noticed, checks are refused or warned of, and what is independent is left alone."""

import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof import _guard

Array = NDArray[np.float64]
START = np.random.default_rng(0).standard_normal(8)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    _guard._lines.clear()
    yield
    _guard._lines.clear()


def cost(w: Array) -> float:
    return float(np.sum(w**4))


def grads(w: Array) -> Array:
    return np.asarray(4 * w**3)


def check(w: Array) -> gp.Report:
    return gp.check(cost, w, grads)


def test_inside_training_a_check_raises_and_says_what_to_do() -> None:
    with gp.training(), pytest.raises(gp.CheckDuringTraining, match=r"gradproof\.Stages.*GRADPROOF=off"):
        check(START)
    assert check(START)


def test_nothing_is_evaluated_inside_training() -> None:
    def never(w: Array) -> float:
        raise AssertionError("the cost was called")

    with gp.training(), pytest.raises(gp.CheckDuringTraining):
        gp.check(never, START, grads)


def test_training_may_be_nested_and_ends_with_an_exception() -> None:
    with gp.training():
        with pytest.raises(KeyError), gp.training():
            raise KeyError
        with pytest.raises(gp.CheckDuringTraining):
            check(START)
    assert check(START)


def test_training_may_decorate() -> None:
    @gp.training()
    def train() -> gp.Report:
        return check(START)

    for _ in range(2):
        with pytest.raises(gp.CheckDuringTraining):
            train()
    assert check(START)


def test_another_thread_is_not_in_training() -> None:
    found: list[bool] = []
    with gp.training():
        other = threading.Thread(target=lambda: found.append(bool(check(START))))
        other.start()
        other.join()
    assert found == [True]


def test_what_is_exempt_may_check_during_training() -> None:
    with gp.training(), _guard.exempt():
        assert check(START)
    with gp.training(), pytest.raises(gp.CheckDuringTraining):
        check(START)


def looped(times: int, move: Callable[[Array, int], Array]) -> list[str]:
    """What one line that checks so many times is warned of."""
    w = START.copy()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for i in range(times):
            check_here(w)
            w = move(w, i)
    return [str(one.message) for one in seen if one.category is gp.CheckCostWarning]


def check_here(w: Array) -> None:
    gp.check(cost, w, grads)  # THIS LINE


def descend(w: Array, i: int) -> Array:
    return w - 0.01 * grads(w)


def test_a_loop_is_warned_of_once_with_its_line_share_and_cost() -> None:
    messages = looped(3 * _guard.MANY, descend)
    assert len(messages) == 1
    with open(__file__, encoding="utf-8") as file:
        line = 1 + next(i for i, text in enumerate(file) if "THIS LINE" in text)
    assert f"{__file__}:{line} has checked the same parameters {_guard.MANY} times" in messages[0]
    assert " ms a check, " in messages[0]
    assert "% of the time" in messages[0]


def test_fewer_checks_are_no_loop() -> None:
    assert looped(_guard.MANY - 1, descend) == []


def test_parameters_that_stay_are_no_training() -> None:
    assert looped(2 * _guard.MANY, lambda w, i: w) == []


def test_independent_problems_are_no_training() -> None:
    assert looped(3 * _guard.MANY, lambda w, i: np.random.default_rng(i + 1).standard_normal(8)) == []


def test_variants_of_one_problem_are_no_training() -> None:
    def varied(w: Array, i: int) -> Array:
        other = START.copy()
        other[i % 8] += 0.01 * (i + 1)
        return other

    assert looped(3 * _guard.MANY, varied) == []


def test_a_cost_made_anew_at_each_step_is_still_a_loop() -> None:
    w, seen = START.copy(), 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(_guard.MANY):
            gp.check(lambda w: cost(w), w, grads)
            w = descend(w, 0)
    seen = sum(one.category is gp.CheckCostWarning for one in caught)
    assert seen == 1


def test_problems_of_other_sizes_are_no_training() -> None:
    assert looped(3 * _guard.MANY, lambda w, i: np.append(w, 0.5)) == []


def test_what_was_planned_does_not_count() -> None:
    with _guard.planned():
        assert looped(2 * _guard.MANY, descend) == []


def test_lines_are_not_remembered_without_end() -> None:
    for size in range(1, 2 * _guard.REMEMBERED):
        _guard.count(cost, np.ones(size), 0.0)
    assert len(_guard._lines) <= _guard.REMEMBERED


def test_the_whole_vector_is_not_looked_at() -> None:
    class Watched(np.ndarray[Any, Any]):
        pass

    large = np.ones(1_000_000).view(Watched)
    assert _guard._some_of(large).size <= _guard.COMPARED


def test_switched_off_a_check_during_training_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPROOF", " Off ")
    with gp.training():
        report = check(START)
    assert report.verdict == "undecided"
    assert report.evaluations == 0
    assert "GRADPROOF" in report.notes[0]
    monkeypatch.setenv("GRADPROOF", "on")
    assert check(START)


def test_functions_of_several_values_are_guarded_as_well() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(START, requires_grad=True)
    assert gp.check_function(torch.sin, x)
    with gp.training(), pytest.raises(gp.CheckDuringTraining):
        gp.check_function(torch.sin, x)
