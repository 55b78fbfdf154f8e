"""Gradients that add up over calls."""

from typing import Any

from tiny import check, only, tiny

from planted.base import Array, Grads, Tree


def adding(right: Grads, names: tuple[str, ...]) -> Grads:
    total: dict[str, Array] = {}

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = right(params, *data, **options)
        for name in names:
            total[name] = total.get(name, 0.0) + gradient[name]
        return {**gradient, **total}

    return grads


def test_all_tensors_add_up() -> None:
    model = tiny()
    report = check(model, adding(model.grads, tuple(model.params)))
    finding = only(report)
    assert (report.verdict, finding.cause, finding.severity) == ("wrong", "accumulated", "error")
    assert set(finding.tensors) == set(model.params)
    assert "the first call returned it once, the next ones twice and 3 times" in finding.message
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


def test_called_before_the_check() -> None:
    model = tiny()
    grads = adding(model.grads, ("W2",))
    grads(model.params, *model.data, **model.options)
    finding = only(check(model, grads))
    assert (finding.cause, finding.tensors) == ("accumulated", ("W2",))
    assert "twice" in finding.message


def test_growth_that_is_no_gradient_is_not_accumulated() -> None:
    model = tiny()
    calls: list[int] = []

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        calls.append(1)
        gradient = model.grads(params, *data, **options)
        return {**gradient, "W2": gradient["W2"] + 0.3 * len(calls)}

    finding = only(check(model, grads))
    assert (finding.cause, finding.tensors) == ("nondeterministic", ("W2",))


def test_a_total_that_is_reset_is_right() -> None:
    model = tiny()
    total: dict[str, Array] = {}

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        total.clear()
        for name, value in model.grads(params, *data, **options).items():
            total[name] = total.get(name, 0.0) + value
        return dict(total)

    report = check(model, grads)
    assert report.passed
    assert report.findings == ()
