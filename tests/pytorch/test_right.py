"""Right functions of all kinds: nothing may be found in them."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp

F = torch.nn.functional
ROWS = torch.tensor([[0, 2, 1], [1, 3, 0]])
EYE = torch.eye(3, dtype=torch.bool)


class Given:
    """Inputs by shape, the same in each run."""

    def __init__(self, dtype: Any) -> None:
        self._generator = torch.Generator().manual_seed(5)
        self._dtype = dtype

    def __call__(self, *shape: int) -> Any:
        return torch.randn(shape, dtype=self._dtype, generator=self._generator)

    def complex(self, *shape: int) -> Any:
        return torch.complex(self(*shape), self(*shape))


#: Name to a function and what makes its inputs. Left out is what PyTorch 2.13 itself gets wrong: ``batch_norm`` on the
#: processor takes a weight for contiguous in its backward pass, and ``median`` an input that is expanded.
CASES: dict[str, tuple[Any, Any]] = {
    "relu": (F.relu, lambda r: [r(3, 4)]),
    "gelu": (F.gelu, lambda r: [r(3, 4)]),
    "leaky_relu": (F.leaky_relu, lambda r: [r(3, 4)]),
    "hardtanh": (F.hardtanh, lambda r: [r(3, 4)]),
    "softmax": (lambda x: F.softmax(x, -1), lambda r: [r(3, 4)]),
    "log_softmax": (lambda x: F.log_softmax(x, -1), lambda r: [r(3, 4)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), lambda r: [r(3, 4), r(4), r(4)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), lambda r: [r(2, 4, 3, 3), r(4), r(4)]),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), lambda r: [r(5, 4)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), lambda r: [r(2, 3, 4, 4), r(2, 3, 3, 3), r(2)]),
    "bias before batch_norm": (
        lambda x, w, b: F.batch_norm(F.linear(x, w, b), None, None, training=True),
        lambda r: [r(6, 3), r(2, 3), r(2)],
    ),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, stride=2), lambda r: [r(1, 2, 3, 3), r(2, 3, 2, 2)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, return_indices=True), lambda r: [r(2, 2, 4, 4)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2), lambda r: [r(1, 2, 7, 7)]),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), lambda r: [r(1, 2, 3, 3)]),
    "grid_sample": (
        lambda x, g: F.grid_sample(x, g.tanh().reshape(1, 2, 3, 2), align_corners=False),
        lambda r: [r(1, 2, 4, 4), r(12)],
    ),
    "embedding": (lambda w: F.embedding(ROWS, w), lambda r: [r(4, 3)]),
    "embedding_bag": (lambda w: F.embedding_bag(ROWS, w), lambda r: [r(4, 3)]),
    "bilinear": (F.bilinear, lambda r: [r(3, 4), r(3, 2), r(5, 4, 2)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, torch.tensor([0, 2, 1])), lambda r: [r(3, 4)]),
    "mse_loss": (F.mse_loss, lambda r: [r(3, 4), r(3, 4)]),
    "huber_loss": (F.huber_loss, lambda r: [r(3, 4), r(3, 4)]),
    "ctc_loss": (
        lambda x: F.ctc_loss(F.log_softmax(x, -1), torch.tensor([[1, 2], [2, 3]]), (6, 6), (2, 2)),
        lambda r: [r(6, 2, 4)],
    ),
    "dropout": (lambda x: F.dropout(x, 0.5, True), lambda r: [r(5, 6)]),
    "attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda r: [r(2, 3, 4), r(2, 3, 4), r(2, 3, 4)],
    ),
    "matmul": (torch.matmul, lambda r: [r(3, 4), r(4, 2)]),
    "einsum": (lambda a, b: torch.einsum("ij,kj->ik", a, b), lambda r: [r(3, 4), r(2, 4)]),
    "view": (lambda x: x.reshape(-1).view(2, 6), lambda r: [r(3, 4)]),
    "slice": (lambda x: x[1:, ::2], lambda r: [r(3, 4)]),
    "expand": (lambda x: x.expand(5, 3), lambda r: [r(1, 3)]),
    "transpose": (lambda x: x.t(), lambda r: [r(3, 4)]),
    "cat": (lambda a, b: torch.cat([a, b]), lambda r: [r(2, 3), r(4, 3)]),
    "split": (lambda x: x.split(2), lambda r: [r(6, 3)]),
    "sort": (lambda x: torch.sort(x, -1), lambda r: [r(3, 4)]),
    "topk": (lambda x: torch.topk(x, 2), lambda r: [r(3, 4)]),
    "max": (lambda x: x.max(0), lambda r: [r(3, 4)]),
    "amax": (lambda x: x.amax(0), lambda r: [r(3, 4)]),
    "cummax": (lambda x: x.cummax(0), lambda r: [r(3, 4)]),
    "cumprod": (lambda x: x.cumprod(0), lambda r: [r(3, 4)]),
    "prod": (lambda x: x.prod(0), lambda r: [r(3, 4)]),
    "std": (lambda x: x.std(0), lambda r: [r(3, 4)]),
    "norm": (lambda x: x.norm(), lambda r: [r(3, 4)]),
    "gather": (lambda x: x.gather(1, ROWS), lambda r: [r(2, 4)]),
    "scatter": (lambda x, s: x.scatter(1, ROWS, s), lambda r: [r(2, 4), r(2, 3)]),
    "index_add": (lambda x, s: x.index_add(0, torch.tensor([0, 0, 1]), s), lambda r: [r(2, 4), r(3, 4)]),
    "index_put": (lambda x, v: x.index_put((torch.tensor([0, 1]),), v), lambda r: [r(3, 4), r(2, 4)]),
    "masked_fill": (lambda x: x.masked_fill(EYE, 0.0), lambda r: [r(3, 3)]),
    "masked_select": (lambda x: x[EYE], lambda r: [r(3, 3)]),
    "where": (lambda a, b: torch.where(EYE, a, b), lambda r: [r(3, 3), r(3, 3)]),
    "fft": (torch.fft.fft, lambda r: [r(8)]),
    "irfft": (torch.fft.irfft, lambda r: [r.complex(5)]),
    "inv": (torch.linalg.inv, lambda r: [r(4, 4)]),
    "solve": (torch.linalg.solve, lambda r: [r(4, 4), r(4, 2)]),
    "cholesky": (lambda a: torch.linalg.cholesky(a @ a.mT + torch.eye(3, dtype=a.dtype)), lambda r: [r(3, 3)]),
    "slogdet": (torch.linalg.slogdet, lambda r: [r(4, 4)]),
    "svdvals": (torch.linalg.svdvals, lambda r: [r(4, 3)]),
    "qr": (torch.linalg.qr, lambda r: [r(4, 3)]),
    "complex product": (torch.mul, lambda r: [r.complex(4), r.complex(4)]),
    "complex abs": (torch.abs, lambda r: [r.complex(4)]),
    "complex exp": (torch.exp, lambda r: [r.complex(4)]),
    "complex matmul": (torch.matmul, lambda r: [r.complex(3, 4), r.complex(4, 2)]),
    "conj": (lambda z: z.conj(), lambda r: [r.complex(4)]),
    "real": (lambda z: z.real, lambda r: [r.complex(4)]),
    "sgn": (torch.sgn, lambda r: [r(4)]),
    "polar": (lambda a, b: torch.polar(a.exp(), b), lambda r: [r(4), r(4)]),
    "in place": (lambda x: x.mul_(2).sin_(), lambda r: [r(3, 4)]),
    "in place inside": (lambda x: x.clone().add_(1).exp_(), lambda r: [r(3, 4)]),
    "identity": (lambda x: x, lambda r: [r(3, 4)]),
    "view of it": (lambda x: x.view_as(x), lambda r: [r(3, 4)]),
    "nothing": (lambda x: x * 2, lambda r: [r(0, 3)]),
    "a number": (lambda x: x * x, lambda r: [r()]),
    "a dict": (lambda x: {"a": x.sin(), "b": (x.cos(), None, 3, torch.arange(2))}, lambda r: [r(3)]),
    "a Python number": (lambda x, a: x * a, lambda r: [r(3), 0.5]),
    "one thing twice": (lambda a, b: a * b.sin(), lambda r: [r(3, 4)] * 2),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), lambda r: [r(3, 4)]),
    "rounding inside": (lambda x: x + x.round(), lambda r: [r(3, 4)]),
    "cdist": (torch.cdist, lambda r: [r(3, 4), r(5, 4)]),
    "unfold": (lambda x: F.unfold(x, 2), lambda r: [r(1, 2, 4, 4)]),
    "reflected padding": (lambda x: F.pad(x, (1, 1), mode="reflect"), lambda r: [r(1, 2, 5)]),
    "checkpoint": (
        lambda x: torch.utils.checkpoint.checkpoint(lambda y: (y.sin() * y).cos(), x, use_reentrant=False),
        lambda r: [r(3, 4)],
    ),
    "a derivative inside": (
        lambda x: torch.func.grad(lambda y: (y.sin() * y**2).sum())(x),
        lambda r: [r(4)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_nothing_is_found(name: str) -> None:
    function, given = CASES[name]
    report = gp.check_function(function, *given(Given(torch.float64)))
    assert report.verdict == "correct", str(report)
    assert not report.findings, str(report)


@pytest.mark.parametrize("name", list(CASES)[::2])
def test_nothing_is_found_in_single_precision(name: str) -> None:
    function, given = CASES[name]
    report = gp.check_function(function, *given(Given(torch.float32)), seed=3)
    assert report.verdict != "wrong", str(report)
    assert not report.findings, str(report)


def test_inputs_are_left_as_they_were() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    mean, kept = torch.zeros(4), x.detach().clone()
    state = torch.get_rng_state()
    gp.check_function(lambda x, m: F.batch_norm(F.dropout(x), m, torch.ones(4), training=True), x, mean)
    assert torch.equal(x, kept)
    assert x.grad is None
    assert torch.equal(mean, torch.zeros(4))
    assert torch.equal(state, torch.get_rng_state())
    inside = torch.randn(3)
    before = inside.clone()
    gp.check_function(lambda x: x.mul_(2), inside)
    assert torch.equal(inside, before)
