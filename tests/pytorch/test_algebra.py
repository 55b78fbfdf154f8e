"""The laws of a backward pass: planted errors, near misses and right functions."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp

DOUBLE = torch.float64


def normal(*shape: int, dtype: Any = DOUBLE) -> Any:
    generator = torch.Generator().manual_seed(len(shape) + sum(shape))
    return torch.randn(*shape, dtype=dtype, generator=generator)


def function(forward: Any, backward: Any, *, materialize: bool = True) -> Any:
    """A custom function: ``forward(*inputs)``, ``backward(ctx, saved inputs, *cotangents)``."""

    class Planted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            ctx.save_for_backward(*inputs)
            ctx.set_materialize_grads(materialize)
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            return backward(ctx, ctx.saved_tensors, *cotangents)

    return Planted.apply


def tanh(backward: Any) -> Any:
    """tanh of one input."""
    return function(torch.tanh, backward)


def slope(x: Any) -> Any:
    return 1 - torch.tanh(x) ** 2


def scaled(k: Any) -> Any:
    """A right backward pass of tanh but for what is done to the cotangent first."""
    return tanh(lambda ctx, saved, v: k(v) * slope(saved[0]))


def causes(report: Any) -> list[tuple[str, str]]:
    return [(f.cause, f.detail) for f in report.findings if f.severity == "error"]


# --- linear in the cotangent


@pytest.mark.parametrize(
    ("turn", "detail"),
    [
        (torch.ones_like, "ignored"),
        (lambda v: v.reshape(-1)[0], "collapsed to a number"),
        (lambda v: v.mean(), "collapsed to a number"),
        (lambda v: v + 0.5, "added constant"),
        (lambda v: v * v.abs(), "not linear"),
        (lambda v: v / v.norm(), "not linear"),
    ],
)
def test_what_is_done_to_the_cotangent(turn: Any, detail: str) -> None:
    report = gp.check_function(scaled(turn), normal(3, 4))
    assert causes(report) == [("cotangent", detail)], str(report)
    assert report.verdict == "wrong"
    assert report.tensors["inputs[0]"].verdict == "wrong"


def test_an_added_constant_is_proven_by_taking_it_away() -> None:
    repaired = gp.check_function(scaled(lambda v: v + 0.5), normal(3, 4)).findings[0].repaired
    assert repaired is not None
    assert repaired < 1e-7


def test_a_limit_that_is_out_of_reach_here_is_found_all_the_same() -> None:
    """Clamped at 4: the cotangents of the check stay below, twice as large ones do not."""
    x = normal(3, 4)
    plain = gp.check_function(scaled(lambda v: v.clamp(-4, 4)), x, method="probe")
    assert plain.verdict == "correct", "nothing to see for a derivative alone"
    report = gp.check_function(scaled(lambda v: v.clamp(-4, 4)), x)
    assert causes(report) == [("cotangent", "not linear")]
    assert gp.check_function(scaled(lambda v: v.clamp(-50, 50)), x).verdict == "correct"


@pytest.mark.parametrize(
    "right",
    [
        scaled(lambda v: v),
        scaled(lambda v: 2.0 * v - v),
        scaled(lambda v: v.flip(0).flip(0)),
        lambda x: torch.tanh(x).mean(),
        lambda x: torch.tanh(x).sum().expand(5),
    ],
)
def test_right_backward_passes_are_linear(right: Any) -> None:
    report = gp.check_function(right, normal(3, 4))
    assert report.verdict == "correct", str(report)
    assert not report.findings


def test_a_wrong_factor_is_no_matter_of_the_cotangent() -> None:
    assert causes(gp.check_function(scaled(lambda v: 3 * v), normal(3, 4))) == [("factor", "factor 3")]


def test_a_proven_cause_goes_before_a_broken_law() -> None:
    report = gp.check_function(scaled(lambda v: v.clamp(-0.3, 0.3)), normal(5, 4))
    assert report.verdict == "wrong"
    assert {f.cause for f in report.findings} <= {"clipped", "cotangent"}


# --- outputs one by one


def test_an_output_whose_cotangent_is_ignored_is_named() -> None:
    two = function(lambda x: (x.sin(), x.exp()), lambda ctx, saved, u, v: u * saved[0].cos())
    report = gp.check_function(two, normal(4))
    assert causes(report) == [("missing-path", "through output 1")], str(report)
    assert "output 1" in report.findings[0].message


def test_an_output_alone_that_is_wrong_is_named() -> None:
    def backward(ctx: Any, saved: Any, u: Any, v: Any) -> Any:
        return u * saved[0].cos() * (1.0 if v.any() else 1.5) + v * saved[0].exp()

    two = function(lambda x: (x.sin(), x.exp()), backward)
    assert gp.check_function(two, normal(4), method="auto").verdict == "wrong"
    report = gp.check_function(two, normal(4))
    assert any("output 0" in f.message for f in report.findings), str(report)


def test_undefined_cotangents() -> None:
    def forward(x: Any) -> Any:
        return x.sin(), x.exp()

    def fails(ctx: Any, saved: Any, u: Any, v: Any) -> Any:
        return u * saved[0].cos() + v * saved[0].exp()

    def forgets(ctx: Any, saved: Any, u: Any, v: Any) -> Any:
        return None if u is None or v is None else fails(ctx, saved, u, v)

    def right(ctx: Any, saved: Any, u: Any, v: Any) -> Any:
        first = 0.0 if u is None else u * saved[0].cos()
        return first + (0.0 if v is None else v * saved[0].exp())

    x = normal(4)
    report = gp.check_function(function(forward, fails, materialize=False), x)
    assert ("contract", "undefined cotangent") in causes(report), str(report)
    assert "TypeError" in report.findings[0].message
    report = gp.check_function(function(forward, forgets, materialize=False), x)
    assert ("contract", "undefined cotangent") in causes(report), str(report)
    assert gp.check_function(function(forward, right, materialize=False), x).verdict == "correct"
    assert gp.check_function(function(forward, fails), x).verdict == "correct"


# --- the order of numbers in memory


def raw(tensor: Any) -> Any:
    """What a kernel sees that takes a pointer for a contiguous tensor."""
    return torch.as_strided(tensor, tensor.shape, torch.empty(tensor.shape).stride(), tensor.storage_offset())


def padded(tensor: Any) -> Any:
    """The same, with memory enough behind it."""
    size = tensor.storage_offset() + tensor.numel()
    behind = torch.zeros(max(size, tensor.untyped_storage().nbytes() // tensor.element_size()), dtype=tensor.dtype)
    whole = tensor.as_strided((tensor.untyped_storage().nbytes() // tensor.element_size(),), (1,), 0)
    behind[: len(whole)] = whole
    return behind.as_strided(tensor.shape, torch.empty(tensor.shape).stride(), tensor.storage_offset())


@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4), (2, 3, 2, 2)])
def test_a_cotangent_read_as_if_it_were_contiguous(shape: tuple[int, ...]) -> None:
    report = gp.check_function(scaled(padded), normal(*shape))
    assert causes(report) == [("layout", "cotangent")], str(report)
    assert "every second element" in report.findings[0].message
    assert gp.check_function(scaled(lambda v: padded(v.contiguous())), normal(*shape)).verdict == "correct"


def test_a_view_of_the_cotangent_fails() -> None:
    flat = tanh(lambda ctx, saved, v: (v.view(-1) * slope(saved[0]).view(-1)).view(3, 4))
    report = gp.check_function(flat, normal(3, 4))
    assert causes(report)[0] == ("layout", "fails for a cotangent that is not contiguous"), str(report)
    assert gp.check_function(scaled(lambda v: v.reshape(-1).view(3, 4)), normal(3, 4)).verdict == "correct"


def test_an_input_read_as_if_it_were_contiguous() -> None:
    wrong = tanh(lambda ctx, saved, v: v * slope(padded(saved[0])))
    report = gp.check_function(wrong, normal(3, 4))
    assert causes(report) == [("layout", "input")], str(report)
    assert report.tensors["inputs[0]"].verdict == "wrong"


def test_a_forward_pass_that_reads_memory_is_warned_of() -> None:
    report = gp.check_function(lambda x: padded(x) * 2 if not x.requires_grad else raw(x) * 2, normal(3, 4))
    assert not causes(report)


# --- calls again


def test_a_backward_pass_that_is_right_once() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.y = torch.tanh(x)
            return ctx.y.clone()

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return v * ctx.y.mul_(ctx.y).neg_().add_(1)

    report = gp.check_function(Once.apply, normal(3, 4))
    assert causes(report) == [("not-reentrant", "right once")], str(report)
    assert "ctx.y" in report.findings[0].message
    assert report.verdict == "wrong"


def test_a_backward_pass_that_refuses_a_second_call_is_warned_of() -> None:
    class Refuses(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.y = torch.tanh(x)
            return ctx.y.clone()

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            y, ctx.y = ctx.y, None
            return v * (1 - y**2)

    report = gp.check_function(Refuses.apply, normal(3, 4))
    assert report.verdict == "correct"
    assert [(f.cause, f.severity) for f in report.findings] == [("not-reentrant", "warning")]


def test_a_backward_pass_of_the_latest_forward_pass() -> None:
    class Latest(torch.autograd.Function):
        kept: Any = None

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            Latest.kept = torch.tanh(x)
            return Latest.kept.clone()

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return v * (1 - Latest.kept**2)

    report = gp.check_function(Latest.apply, normal(3, 4))
    assert causes(report) == [("stale", "of the latest forward pass")], str(report)


def test_what_a_backward_pass_changes_in_place() -> None:
    report = gp.check_function(tanh(lambda ctx, saved, v: v.mul_(slope(saved[0]))), normal(3, 4))
    assert causes(report) == [("aliasing", "changed in place")], str(report)
    assert "the cotangent" in report.findings[0].message

    def input_changed(ctx: Any, saved: Any, v: Any) -> Any:
        found = v * slope(saved[0])
        saved[0].data.zero_()
        return found

    report = gp.check_function(tanh(input_changed), normal(3, 4))
    assert ("aliasing", "changed in place") in causes(report), str(report)
    assert "inputs[0]" in report.findings[0].message


def test_a_forward_pass_that_changes_its_input_in_secret() -> None:
    def hidden(x: Any) -> Any:
        y = torch.tanh(x)
        x.data.mul_(1.0).add_(1e-3)
        return y

    report = gp.check_function(hidden, normal(3, 4))
    assert ("aliasing", "warning") in [(f.cause, f.severity) for f in report.findings], str(report)


# --- form


def test_fewer_gradients() -> None:
    def forward(x: Any, w: Any) -> Any:
        return x * w

    def fails(ctx: Any, saved: Any, v: Any) -> Any:
        if not all(ctx.needs_input_grad):
            raise RuntimeError("both are needed")
        return v * saved[1], v * saved[0]

    def other(ctx: Any, saved: Any, v: Any) -> Any:
        factor = 1.0 if ctx.needs_input_grad[1] else 2.0
        return factor * v * saved[1], v * saved[0]

    def right(ctx: Any, saved: Any, v: Any) -> Any:
        return (
            v * saved[1] if ctx.needs_input_grad[0] else None,
            v * saved[0] if ctx.needs_input_grad[1] else None,
        )

    given = normal(3, 4), normal(3, 4)
    assert (
        causes(gp.check_function(function(forward, fails), *given))
        == [("contract", "fails where fewer gradients are needed")] * 2
    )
    report = gp.check_function(function(forward, other), *given)
    assert causes(report) == [("contract", "depends on what else is needed")], str(report)
    assert report.tensors["inputs[1]"].verdict == "correct"
    assert not gp.check_function(function(forward, right), *given).findings


def test_what_pytorch_mends_in_silence() -> None:
    def forward(x: Any, b: Any) -> Any:
        return x * b

    def unsummed(ctx: Any, saved: Any, v: Any) -> Any:
        return v * saved[1], v * saved[0]

    def single(ctx: Any, saved: Any, v: Any) -> Any:
        return (v * saved[1]).float(), (v * saved[0]).sum(0)

    given = normal(3, 4), normal(4)
    report = gp.check_function(function(forward, unsummed), *given)
    assert [(f.cause, f.detail, f.severity, f.tensors) for f in report.findings] == [
        ("contract", "shape", "warning", ("inputs[1]",))
    ]
    assert report.verdict == "correct"
    report = gp.check_function(function(forward, single), *given)
    assert [(f.cause, f.detail, f.tensors) for f in report.findings] == [("contract", "dtype", ("inputs[0]",))]


def test_identical_calls_that_differ_by_rounding_are_noted() -> None:
    state = [0]

    def wobbling(ctx: Any, saved: Any, v: Any) -> Any:
        state[0] += 1
        return v * slope(saved[0]) * (1.0 + 1e-14 * (state[0] % 3))

    report = gp.check_function(tanh(wobbling), normal(3, 4))
    assert report.verdict == "correct", str(report)
    assert not report.findings
    assert any("Identical calls" in note for note in report.notes)


def test_a_backward_pass_that_is_random() -> None:
    state = [0]

    def race(ctx: Any, saved: Any, v: Any) -> Any:
        state[0] += 1
        return v * slope(saved[0]) * (1.0 + 0.1 * (state[0] % 3))

    report = gp.check_function(tanh(race), normal(3, 4))
    assert report.verdict == "wrong"
    assert "nondeterministic" in {f.cause for f in report.findings}


# --- complex numbers


def test_a_missing_conjugate() -> None:
    z, w = normal(3, 4, dtype=torch.complex128), normal(4, 2, dtype=torch.complex128)

    def forward(z: Any, w: Any) -> Any:
        return z @ w

    plain = function(forward, lambda ctx, saved, v: (v @ saved[1].t(), saved[0].t() @ v))
    report = gp.check_function(plain, z, w)
    assert causes(report) == [("conjugate", "factors not conjugated")], str(report)
    assert report.findings[0].repaired is not None
    assert report.findings[0].repaired < 1e-7
    right = function(forward, lambda ctx, saved, v: (v @ saved[1].t().conj(), saved[0].t().conj() @ v))
    assert not gp.check_function(right, z, w).findings
    turned = function(forward, lambda ctx, saved, v: (v.conj() @ saved[1].t(), saved[0].t() @ v.conj()))
    report = gp.check_function(turned, z, w)
    assert causes(report) == [("conjugate", "the conjugate of it")], str(report)


def test_a_wrong_factor_of_complex_numbers_is_no_missing_conjugate() -> None:
    wrong = function(torch.exp, lambda ctx, saved, v: 2j * v * torch.exp(saved[0]).conj())
    report = gp.check_function(wrong, normal(5, dtype=torch.complex128))
    assert report.verdict == "wrong"
    assert "conjugate" not in {f.cause for f in report.findings}


@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_a_small_gradient_that_is_no_rounding_is_held_to_the_laws(size: float) -> None:
    class Squared(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return 1.0 + size * x**2

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 2 * size * x * v * v.abs()

    x = torch.linspace(0.5, 2.0, 6, dtype=torch.float64)
    report = gp.check_function(Squared.apply, x)
    assert report.verdict == "wrong"
    assert "cotangent" in {f.cause for f in report.findings}, str(report)


# --- what it takes


def test_the_laws_call_each_pass_no_more_often_than_they_need() -> None:
    passes = {"forward": 0, "backward": 0}

    def forward(x: Any) -> Any:
        passes["forward"] += 1
        return torch.tanh(x)

    def backward(ctx: Any, saved: Any, v: Any) -> Any:
        passes["backward"] += 1
        return v * slope(saved[0])

    report = gp.check_function(function(forward, backward), normal(40).requires_grad_())
    assert report.verdict == "correct"
    beside = passes["forward"] - report.evaluations
    assert beside <= 5
    # Identical calls, linearity, layouts of cotangents and inputs, two passes through one graph, form, and the claims.
    assert passes["backward"] <= 20


def test_one_wrong_element_among_many_is_placed_with_few_evaluations() -> None:
    x = normal(20_000)

    def backward(ctx: Any, saved: Any, v: Any) -> Any:
        d = v * slope(saved[0])
        d[1_234] *= 1.1
        return d

    report = gp.check_function(tanh(backward), x.requires_grad_())
    assert [(f.cause, f.where.text) for f in report.findings] == [("region", "inputs[0][1234]")]
    assert report.evaluations <= 140
