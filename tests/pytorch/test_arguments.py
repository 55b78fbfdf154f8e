"""What functions may take and return, and what is refused by name."""

from typing import Any, NamedTuple

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp

X = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
SPARSE = torch.eye(3, dtype=torch.float64).to_sparse()


class Pair(NamedTuple):
    u: Any
    v: Any


class Dirty(torch.autograd.Function):
    """Doubles its input in place."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        return v * 2


class Masked(torch.autograd.Function):
    """Returns a mask that is not differentiable beside the result."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        mask = (x > 0).to(x.dtype)
        ctx.mark_non_differentiable(mask)
        ctx.save_for_backward(mask)
        return x * mask, mask

    @staticmethod
    def backward(ctx: Any, v: Any, _: Any) -> Any:
        return v * ctx.saved_tensors[0]


@pytest.mark.parametrize(
    ("function", "inputs", "options", "names"),
    [
        (lambda a, b: a * b.sin(), (X[:2], X[1:]), {}, ["inputs[0]", "inputs[1]"]),
        (lambda a: a.exp(), (X[:1].expand(3, 4),), {}, ["inputs[0]"]),
        (lambda a: a.exp(), (X[:, ::2],), {}, ["inputs[0]"]),
        (lambda p: Pair(p.u.sin(), p.v * 2), (Pair(X, X + 1),), {}, ["inputs[0].u", "inputs[0].v"]),
        (lambda a, *, inputs: a * inputs, (X,), {"kwargs": {"inputs": X + 1}}, ["inputs[0]", "inputs"]),
        (lambda a: (a.argmax(), a.sin(), None, "x"), (X,), {}, ["inputs[0]"]),
        (lambda a, s, n: a.sin() * n if s == "sin" else a, (X, "sin", torch.tensor(3)), {}, ["inputs[0]"]),
        (lambda a, m, c: a * m * torch.as_tensor(c), (X, X > 0, X.numpy()), {}, ["inputs[0]"]),
        (lambda a, parts: a * parts[0], (X, [0.5, 2]), {}, ["inputs[0]"]),
        (lambda a: a.add_(1), (X.clone().requires_grad_(),), {}, ["inputs[0]"]),
        (torch.sparse.mm, (SPARSE, X.clone().requires_grad_()), {}, ["inputs[1]"]),
        (lambda a, b: a * b, (X, X + 1), {"argnums": [-1]}, ["inputs[1]"]),
        (lambda a, b: a * b, (X, X), {"argnums": 0}, ["inputs[0]"]),
        (Dirty.apply, (X,), {}, ["inputs[0]"]),
        (Masked.apply, (X,), {}, ["inputs[0]"]),
        (torch.nn.BatchNorm1d(4).double(), (X,), {}, ["inputs[0]"]),
    ],
)
def test_what_is_taken(function: Any, inputs: Any, options: Any, names: list[str]) -> None:
    before = X.clone()
    report = gp.check_function(function, *inputs, **options)
    assert report.verdict == "correct", str(report)
    assert not report.findings
    assert list(report.tensors) == names
    assert torch.equal(X, before)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(
    ("function", "given", "match"),
    [
        (lambda x: x.to_dense(), lambda: SPARSE, r"inputs\[0\].*sparse_coo"),
        (lambda x: x.to_sparse(), lambda: X, "output 0.*sparse_coo"),
        (lambda x: x * 2, lambda: torch.masked.masked_tensor(X, X > 0), r"inputs\[0\].*masked"),
        (lambda x: x * 2, lambda: torch.nested.nested_tensor([X, X]), r"inputs\[0\].*nested"),
        (lambda x: x * 2, lambda: X.to("meta"), r"inputs\[0\].*meta"),
        (lambda x: x.float(), lambda: X.to(torch.float8_e4m3fn), r"inputs\[0\].*float8"),
        (lambda x: x.argmax(), lambda: X, "what it returns"),
    ],
)
def test_what_is_refused_by_name(function: Any, given: Any, match: str) -> None:
    with pytest.raises(gp.InputError, match=match):
        gp.check_function(function, given())


def doubled(backward: Any) -> Any:
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.total = torch.zeros_like(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return backward(ctx, v)

    return Doubled.apply


@pytest.mark.parametrize("backward", [lambda ctx, v: 2 * v[:2], lambda ctx, v: (2 * v, v), lambda ctx, v: "none"])
def test_gradients_of_no_form_that_fits(backward: Any) -> None:
    report = gp.check_function(doubled(backward), X)
    assert report.verdict == "wrong"
    assert [f.cause for f in report.findings] == ["contract"], str(report)


def test_what_the_function_raises_goes_through() -> None:
    def fails(ctx: Any, v: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        gp.check_function(doubled(fails), X)
    with pytest.raises(ZeroDivisionError):
        gp.check_function(lambda x: 1 / 0, X)


def test_a_buffer_that_backward_passes_add_to() -> None:
    report = gp.check_function(doubled(lambda ctx, v: ctx.total.add_(2 * v).clone()), X)
    assert [(f.cause, f.detail) for f in report.findings] == [("not-reentrant", "right once")], str(report)
    assert "ctx.total" in report.findings[0].message


def test_a_cotangent_read_with_the_strides_of_the_input() -> None:
    class Strides(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 2 * v.as_strided(x.shape, x.stride())

    report = gp.check_function(Strides.apply, X)
    assert {f.cause for f in report.findings} == {"layout"}, str(report)
    assert report.verdict == "wrong"


def test_checks_that_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPROOF", "off")
    assert gp.check_function(doubled(lambda ctx, v: 3 * v), X).verdict == "undecided"
    assert gp.check_hessian(lambda p: p, X).verdict == "undecided"


@pytest.mark.parametrize("budget", [5, 40, 200])
def test_a_budget_that_runs_out(budget: int) -> None:
    report = gp.check_function(lambda x: (x.sin(), x.exp()), X, budget=budget)
    assert report.verdict != "wrong"
    assert report.evaluations <= budget + 10


@pytest.mark.parametrize("method", ["probe", "exhaustive", "classic"])
def test_other_methods_try_no_laws(method: str) -> None:
    report = gp.check_function(doubled(lambda ctx, v: v.mul_(2)), X, method=method)
    assert not report.findings
    assert report.verdict == ("undecided" if method == "classic" else "correct")


def test_a_function_class_is_applied() -> None:
    assert gp.check_function(Masked, X).verdict == "correct"

    class Doubled(Masked):
        @staticmethod
        def backward(ctx: Any, v: Any, _: Any) -> Any:
            return 2.0 * v * ctx.saved_tensors[0]

    report = gp.check_function(Doubled, X)
    assert (report.verdict, report.findings[0].cause) == ("wrong", "factor")


@pytest.mark.parametrize(
    ("second", "said"),
    [(2.0, "the float 2.0"), (torch.tensor([1, 2, 0, 1]), "one of torch.int64"), ("x", "the str 'x'")],
)
def test_an_input_that_is_named_and_cannot_be_differentiated_is_refused(second: Any, said: str) -> None:
    calls = []

    def function(a: Any, b: Any) -> Any:
        calls.append(b)
        return a.sin()

    with pytest.raises(gp.InputError, match=r"inputs\[1\], which argnums= names") as caught:
        gp.check_function(function, X, second, argnums=(0, 1))
    assert said in str(caught.value)
    assert not calls
    assert gp.check_function(function, X, second, argnums=0).verdict == "correct"


def test_what_is_not_for_tensors_is_refused_by_the_name_that_was_given() -> None:
    with pytest.raises(gp.InputError, match=r"function: jvp= should be left out for tensors"):
        gp.check_function(torch.sin, X, jvp=lambda inputs, tangent: tangent)


class Rows(torch.nn.Module):
    """An embedding with sparse gradients, right or off by a factor in one row."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.table = torch.nn.Embedding(6, 3, sparse=True)
        self.factor = factor

    def forward(self, rows: Any) -> Any:
        found = self.table(rows)
        if self.factor != 1.0 and found.requires_grad:
            found.register_hook(lambda v: torch.cat([self.factor * v[:1], v[1:]]))
        return found


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "correct"), (1.5, "wrong")])
def test_sparse_gradients_of_dense_parameters_are_judged(
    factor: float, verdict: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradproof._adapters.pytorch import residing

    monkeypatch.setattr(residing, "LARGE", -1 if large else residing.LARGE)
    module, rows = Rows(factor), torch.tensor([4, 1, 1])

    def squares(m: Any, r: Any) -> Any:
        return m(r).pow(2).sum()

    report = gp.check_module(module, squares, data=(rows,))
    assert report.verdict == verdict, report
    if factor != 1.0:
        assert report.findings[0].where.mask("table.weight").any(axis=1).tolist() == [False] * 4 + [True, False]
    squares(module, rows).backward()
    assert module.table.weight.grad.is_sparse
    assert gp.check_module(module, squares, "grad", data=(rows,)).verdict == verdict
    given = {"table.weight": module.table.weight.grad}
    assert gp.check_module(module, squares, given, data=(rows,)).verdict == verdict


def test_inference_mode_is_refused_and_no_grad_is_not() -> None:
    with torch.inference_mode(), pytest.raises(gp.InputError, match=r"torch.inference_mode\(\) should be left"):
        gp.check_function(torch.sin, X)
    with torch.no_grad():
        assert gp.check_function(torch.sin, X).verdict == "correct"


@pytest.mark.parametrize(("params", "name"), [(SPARSE, "p"), ({"a": X, "b": [SPARSE]}, r"b\.0")])
def test_parameters_that_are_refused_are_named(params: Any, name: str) -> None:
    with pytest.raises(gp.InputError, match=f"checked: {name} should be a dense tensor"):
        gp.check(lambda p: X.sum(), params)


class Spread(torch.nn.Module):
    """A graph network, whose neighbours are a buffer that each call may compute anew."""

    def __init__(self, neighbours: Any, factor: float) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.inner = torch.nn.Linear(4, 2).double()
        self.neighbours: Any
        self.register_buffer("neighbours", neighbours)
        self.factor = factor

    def forward(self, x: Any) -> Any:
        found = self.neighbours @ self.inner(x)
        with torch.no_grad():
            self.neighbours = self.neighbours * self.factor if self.factor != 1.0 else self.neighbours
        return found


@pytest.mark.parametrize("layout", [torch.strided, torch.sparse_coo, torch.sparse_csr])
@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_buffers_are_kept_sparse_or_computed_anew(layout: Any, factor: float) -> None:
    dense = torch.tensor([[0.0, 1.0, 0.5], [0.0, 0.0, 2.0], [1.5, 0.0, 0.0]], dtype=torch.float64)
    module = Spread(dense if layout is torch.strided else dense.to_sparse(layout=layout), factor)
    report = gp.check_module(module, lambda m, x: m(x).square().mean(), data=(X,))
    assert report.verdict == "correct", report
    assert torch.equal(module.neighbours.to_dense() if layout is not torch.strided else module.neighbours, dense)
