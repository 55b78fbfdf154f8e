"""How work is evaluated: counted, within a budget, by one or by many, with the same report."""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._evaluation import BudgetExhaustedError, Evaluator, Meter, mapper
from gradproof._records import Direction, Part, Ray, Samples, Stats, Tensor

Params = dict[str, NDArray[np.float64]]
RNG = np.random.default_rng(0)
PARAMS: Params = {"W": RNG.standard_normal((3, 4)), "b": RNG.standard_normal(3)}


def cost(p: Params) -> float:
    """At the top level of the module, so that it can be sent to other processes."""
    return float(np.sum(np.tanh(p["W"]) ** 2) + np.sum(p["b"] ** 4))


def grads(p: Params) -> Params:
    tanh = np.tanh(p["W"])
    return {"W": 2.0 * tanh * (1.0 - tanh**2), "b": 4.0 * p["b"] ** 3}


def wrong(p: Params) -> Params:
    found = grads(p)
    found["W"][1, 2] *= 1.5
    return found


class Counted:
    """A cost that counts its calls."""

    def __init__(self, function: Callable[..., Any] = cost) -> None:
        self.calls = 0
        self._function = function

    def __call__(self, p: Params) -> Any:
        self.calls += 1
        return self._function(p)


class Line:
    """A problem whose cost along a ray is its first seed times the step."""

    tensors = (Tensor("w", (1,), 1, 0, "float64"),)
    epsilon = 2.0**-52
    grain = 0.0

    def __init__(self, replicas: list[int] | None = None) -> None:
        self.replicas = [0] if replicas is None else replicas

    def lines(self, rays: Iterable[Ray]) -> list[Samples]:
        return [self._line(ray) for ray in rays]

    def _line(self, ray: Ray) -> Samples:
        nothing = [0.0] * len(ray.steps)
        return Samples([ray.direction.seeds[0] * step for step in ray.steps], nothing, nothing, 0.0)

    def replica(self) -> "Line":
        self.replicas[0] += 1
        return Line(self.replicas)

    def stats(self, tensor: int) -> Stats:
        return Stats(1.0, 1.0, 1.0, ((-1, 1.0, 1),), 1)

    def pull(self, tensor: int) -> Any:
        raise NotImplementedError

    def project(self, directions: Any, tensor: int, candidates: Any) -> Any:
        raise NotImplementedError

    def holding(self, masks: Any) -> "Line":
        return self

    def reclaimed(self, claims: Any) -> "Line":
        return self


def rays(count: int, steps: int = 3) -> list[Ray]:
    return [Ray(Direction((i,), (Part(0, 1.0),)), tuple(0.1 * (k + 1) for k in range(steps))) for i in range(count)]


# The meter.


def test_the_meter_counts_what_is_spent_and_tells_progress() -> None:
    told: list[int] = []
    meter = Meter(progress=told.append)
    meter.spend(3)
    meter.spend(4)
    assert meter.count == 7
    assert told == [3, 7]


def test_the_meter_affords_exactly_its_budget() -> None:
    meter = Meter(10)
    meter.afford(10)
    meter.spend(7)
    meter.afford(3)
    with pytest.raises(BudgetExhaustedError):
        meter.afford(4)
    assert meter.count == 7


def test_seconds_run_out() -> None:
    Meter(seconds=1e6).afford(10**9)
    late = Meter(seconds=1e-9)
    time.sleep(1e-3)
    with pytest.raises(BudgetExhaustedError):
        late.afford(1)


def test_without_a_budget_all_is_affordable() -> None:
    Meter().afford(10**12)


# The evaluator.


def test_rays_are_answered_in_their_order_and_counted() -> None:
    evaluator = Evaluator(Line(), Meter())
    found = evaluator.lines(rays(5))
    assert [s.costs[0] for s in found] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert evaluator.meter.count == 15


def test_what_cannot_be_afforded_is_not_evaluated() -> None:
    meter = Meter(14)
    with pytest.raises(BudgetExhaustedError):
        Evaluator(Line(), meter).lines(rays(5))
    assert meter.count == 0


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, None])
def test_a_mapper_gives_the_same_answers_in_the_same_order(kind: type[ThreadPoolExecutor] | None) -> None:
    problem, alone = Line(), Evaluator(Line(), Meter()).lines(rays(20))
    meter = Meter()
    if kind is None:
        found = Evaluator(problem, meter, mapper(map)).lines(rays(20))
    else:
        with kind(2) as pool:
            found = Evaluator(problem, meter, mapper(pool)).lines(rays(20))
    assert [s.costs for s in found] == [s.costs for s in alone]
    assert meter.count == 60
    assert problem.replicas == [20]  # each task has memory of its own


def test_a_single_ray_is_not_sent_anywhere() -> None:
    problem = Line()
    Evaluator(problem, Meter(), mapper(map)).lines(rays(1))
    assert problem.replicas == [0]


@pytest.mark.parametrize("workers", ["two", object(), 2.5])
def test_what_is_no_workers_is_refused(workers: object) -> None:
    with pytest.raises(gp.InputError, match="`workers` should be"):
        mapper(workers)  # type: ignore[arg-type]


# The same through the public function.


def content(report: gp.Report) -> dict[str, Any]:
    """A report without what depends on the clock."""
    return {key: value for key, value in report.to_dict().items() if key != "seconds"}


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive", "classic"])
@pytest.mark.parametrize("claim", [grads, wrong])
def test_threads_and_maps_change_nothing(method: str, claim: Callable[[Params], Params]) -> None:
    alone = content(gp.check(cost, PARAMS, claim, method=method))
    with ThreadPoolExecutor(3) as pool:
        assert content(gp.check(cost, PARAMS, claim, method=method, workers=pool)) == alone
    assert content(gp.check(cost, PARAMS, claim, method=method, workers=map)) == alone
    assert content(gp.check(cost, PARAMS, claim, method=method, workers=1)) == alone


def test_lines_that_are_needed_anyway_share_a_round() -> None:
    """After the first line of a right claim, those that its bars call for go out together."""
    batches: list[int] = []

    def batched(function: Callable[[Any], Any], rays: Iterable[Any]) -> list[Any]:
        work = list(rays)
        batches.append(len(work))
        return [function(ray) for ray in work]

    report = gp.check(cost, PARAMS, grads, method="probe", workers=batched)
    assert report.passed
    assert max(batches) >= 3
    wrong_one = {name: 1.01 * value for name, value in grads(PARAMS).items()}
    batches.clear()
    assert gp.check(cost, PARAMS, wrong_one, method="probe", workers=batched).verdict == "wrong"
    assert batches[0] == 2  # a wrong one is told by two more


def test_processes_change_nothing_and_do_the_work() -> None:
    alone = [gp.check(cost, PARAMS, claim, method="exhaustive") for claim in (grads, wrong)]
    counted = Counted()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        many = [gp.check(cost, PARAMS, claim, method="exhaustive", workers=pool) for claim in (grads, wrong)]
        assert gp.check(counted, PARAMS, grads, method="exhaustive", workers=pool).passed
        assert not _is_shut(pool)
    assert [content(report) for report in many] == [content(report) for report in alone]
    assert counted.calls < alone[0].evaluations / 2  # the rest was called elsewhere


def _is_shut(pool: Executor) -> bool:
    return pool.submit(os.getpid).result() == os.getpid()


def test_a_number_of_workers_is_a_number_of_processes() -> None:
    counted = Counted()
    report = gp.check(counted, PARAMS, grads, method="exhaustive", workers=2)
    assert content(report) == content(gp.check(cost, PARAMS, grads, method="exhaustive"))
    assert counted.calls < report.evaluations / 2


@pytest.mark.parametrize("workers", [0, -2, True, "two", 1.5])
def test_impossible_workers_are_refused_before_any_evaluation(workers: object) -> None:
    counted = Counted()
    with pytest.raises(gp.InputError, match="`workers` should be a number of processes"):
        gp.check(counted, PARAMS, grads, workers=workers)
    assert counted.calls == 0


def test_a_cost_that_cannot_be_sent_is_refused_before_any_evaluation() -> None:
    counted = Counted(lambda p: cost(p))
    with pytest.raises(gp.InputError, match="`cost` should be something that can be sent to another process"):
        gp.check(counted, PARAMS, grads, workers=2)
    assert counted.calls == 0
    with ThreadPoolExecutor(2) as pool:
        assert gp.check(counted, PARAMS, grads, workers=pool).passed


def test_workers_receive_no_claim_and_no_second_copy_of_the_parameters() -> None:
    sent: list[int] = []

    def spying_map(task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        import pickle

        sent.append(len(pickle.dumps(task)))
        return map(task, items)

    large = {"W": np.random.default_rng(1).standard_normal((100, 100)), "b": PARAMS["b"]}
    gp.check(cost, large, grads(large), workers=spying_map, method="probe")
    # The structure, the point, the claim and a mask; a second claim or second parameters would be one each more.
    assert max(sent) < 3.5 * large["W"].nbytes


# Budgets.


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive", "classic"])
@pytest.mark.parametrize("claim", [grads, wrong, grads(PARAMS)])
def test_a_budget_is_never_exceeded_and_the_report_is_honest(method: str, claim: Any) -> None:
    full = gp.check(cost, PARAMS, claim, method=method)
    for budget in [1, 2, 3, 4, 5, 6, 13, 14, 20, 30, 40, 50, full.evaluations - 1]:
        counted = Counted()
        report = gp.check(counted, PARAMS, claim, method=method, budget=budget)
        assert counted.calls == report.evaluations <= budget
        assert set(report.tensors) == {"W", "b"}
        if claim is wrong:
            assert report.verdict != "correct"
        else:
            assert report.verdict != "wrong"
        if report.verdict is gp.Verdict.UNDECIDED:
            assert all(t.reason for t in report.tensors.values() if t.verdict is gp.Verdict.UNDECIDED)
    assert gp.check(cost, PARAMS, claim, method=method, budget=full.evaluations).verdict is full.verdict


@pytest.mark.parametrize("method", ["auto", "exhaustive"])
def test_a_spent_budget_is_noted_and_what_is_known_without_measuring_is_said(method: str) -> None:
    claim = {"W": np.full((3, 4), np.nan), "b": grads(PARAMS)["b"]}
    for budget in (1, 6, 14):
        report = gp.check(cost, PARAMS, claim, method=method, budget=budget)
        assert any("budget ran out" in note for note in report.notes)
        assert report.tensors["W"].verdict == "wrong"  # that it is NaN took no evaluation
        assert report.tensors["b"].verdict == "undecided"


def test_a_budget_in_seconds() -> None:
    assert gp.check(cost, PARAMS, grads, budget="1000s").passed
    counted = Counted()
    report = gp.check(counted, PARAMS, grads, budget="0.000000001s")
    assert (counted.calls, report.evaluations, report.verdict) == (0, 0, "undecided")


@pytest.mark.parametrize("budget", [0, -1, True, 1.5, "30", "s", "-1s", "nans", "one s", [3]])
def test_an_impossible_budget_is_refused(budget: Any) -> None:
    counted = Counted()
    with pytest.raises(gp.InputError, match="`budget` should be"):
        gp.check(counted, PARAMS, grads, budget=budget)
    assert counted.calls == 0


# Counting.


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive", "classic"])
@pytest.mark.parametrize("claim", [grads, wrong, grads(PARAMS)])
def test_the_report_counts_every_call_of_the_cost(method: str, claim: Any) -> None:
    counted, told = Counted(), list[int]()
    report = gp.check(counted, PARAMS, claim, method=method, progress=told.append)
    assert report.evaluations == counted.calls
    assert told == sorted(told)
    assert told[-1] == report.evaluations
    assert len(told) > 3


def test_the_report_counts_where_cost_and_gradient_come_together() -> None:
    counted = Counted(lambda p: (cost(p), grads(p)))
    assert gp.check(counted, PARAMS, True).evaluations == counted.calls


def test_the_report_counts_in_lower_precision_and_beside_a_kink() -> None:
    low = {"W": PARAMS["W"].astype(np.float32), "b": PARAMS["b"].astype(np.float32)}
    counted = Counted()
    report = gp.check(counted, low, grads)
    assert report.passed
    assert report.evaluations == counted.calls
    kinked = Counted(lambda p: float(np.sum(np.abs(p["b"])) + np.sum(p["W"])))
    at = {"W": PARAMS["W"], "b": np.zeros(3)}
    report = gp.check(kinked, at, lambda p: {"W": np.ones((3, 4)), "b": np.sign(p["b"])})
    assert report.evaluations == kinked.calls


def test_what_progress_raises_ends_the_check() -> None:
    def stop(count: int) -> None:
        if count > 20:
            raise KeyboardInterrupt

    before = {name: value.copy() for name, value in PARAMS.items()}
    with pytest.raises(KeyboardInterrupt):
        gp.check(cost, PARAMS, grads, progress=stop)
    for name, value in before.items():
        np.testing.assert_array_equal(PARAMS[name], value)


def test_the_seed_decides_the_report() -> None:
    one, same, other = (content(gp.check(cost, PARAMS, grads, seed=seed)) for seed in (3, 3, 4))
    assert one == same
    assert one["difference"] != other["difference"]


@pytest.mark.parametrize("seed", [-1, 1.5, "x", True])
def test_an_impossible_seed_is_refused(seed: Any) -> None:
    counted = Counted()
    with pytest.raises(gp.InputError, match="`seed` should be"):
        gp.check(counted, PARAMS, grads, seed=seed)
    assert counted.calls == 0


def test_an_unknown_number_is_not_a_zero() -> None:
    report = gp.check(cost, PARAMS, grads, budget=5)
    assert math.isnan(report.difference.estimate) or report.difference.estimate == 1.0
    assert report.difference.high == 1.0


@pytest.mark.parametrize("method", ["auto", "exhaustive"])
def test_a_budget_holds_at_the_edge_of_a_domain_too(method: str) -> None:
    at = {"y": np.array([0.0, 1.0, 2.0]), "W": PARAMS["W"]}

    def edge(p: Params) -> float:
        with np.errstate(invalid="ignore"):
            return float(np.sum(p["y"] ** 1.5) + np.sum(np.tanh(p["W"]) ** 2))

    def claim(p: Params, factor: float = 1.0) -> Params:
        return {"y": 1.5 * factor * np.sqrt(p["y"]), "W": grads({"W": p["W"], "b": p["y"]})["W"]}

    full = gp.check(edge, at, claim, method=method)
    assert full.verdict != "wrong"
    for budget in range(1, full.evaluations, 7):
        counted = Counted(edge)
        report = gp.check(counted, at, claim, method=method, budget=budget)
        assert counted.calls == report.evaluations <= budget
        assert report.verdict != "wrong"
        off = gp.check(edge, at, lambda p: claim(p, 1.1), method=method, budget=budget)
        assert off.verdict != "correct"
        assert set(off.tensors) == {"y", "W"}
