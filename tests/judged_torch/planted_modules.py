"""Modules whose custom layers carry a slip in the first, the middle or the last of three places."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from planted_elementwise import OPERATORS
from planted_kit import Operator, gap, rand, written
from planted_linear import LINEAR
from planted_reductions import REDUCTIONS
from torch import nn

NAMED = {operator.name: operator for operator in OPERATORS + REDUCTIONS + LINEAR}
F = nn.functional


def layer(name: Any, slip: Any) -> Any:
    """The operator by hand with this slip; in plain operations where slip is None."""
    operator: Operator = NAMED[name]
    return operator.plain if slip is None else written(operator, slip)


class Dense(nn.Module):
    def __init__(self, wide: Any, narrow: Any, slip: Any) -> None:
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.randn(narrow, wide) / wide**0.5)
        self.bias = nn.Parameter(0.3 * torch.randn(narrow))
        self.function = layer("dense", slip)

    def forward(self, x: Any) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        return self.function(flat, self.weight, self.bias).reshape(*x.shape[:-1], -1)


class Norm(nn.Module):
    def __init__(self, size: Any, slip: Any) -> None:
        nn.Module.__init__(self)
        self.gamma = nn.Parameter(1 + 0.3 * torch.randn(size))
        self.beta = nn.Parameter(0.3 * torch.randn(size))
        self.function = layer("layer norm", slip)

    def forward(self, x: Any) -> Any:
        return self.function(x.reshape(-1, x.shape[-1]), self.gamma, self.beta).reshape(x.shape)


class Dropped(nn.Module):
    def __init__(self, p: Any, slip: Any) -> None:
        nn.Module.__init__(self)
        self.p, self.function = p, layer("dropout", slip)

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        return self.function(x, torch.rand_like(x) >= self.p, 1 - self.p)


def mean_square(module: Any, x: Any, y: Any) -> Any:
    return ((module(x) - y) ** 2).mean()


class Perceptron(nn.Module):
    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.layers = nn.ModuleList(Dense(5, 5, slip) for slip in slips)
        self.drop = Dropped(drop, None if slips[0] is None else "")
        self.head = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        for part in self.layers:
            x = self.drop(part(x))
        return self.head(x)


class Convolutions(nn.Module):
    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        sizes = (2, 3, 3, 4)
        self.weights = nn.ParameterList(torch.randn(b, a, 3) / 2 for a, b in itertools.pairwise(sizes))
        self.biases = nn.ParameterList(0.2 * torch.randn(b) for b in sizes[1:])
        self.functions = [layer("convolution", slip) for slip in slips]
        self.norm = nn.BatchNorm1d(3)
        self.pool = layer("max pool", None if slips[0] is None else "")
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        for place, function in enumerate(self.functions):
            x = function(x, self.weights[place], self.biases[place], 1, 1)
            x = self.norm(F.relu(x)) if place == 0 else F.gelu(x)
            if place == 1:
                x = self.pool(x, 3, 2)
        return self.head(self.drop(x.mean(-1)))


class Memory(nn.Module):
    """Three LSTM layers over five steps."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.cells = [layer("cell", slip) for slip in slips]
        self.w = nn.ParameterList(torch.randn(12, 3) / 2 for _ in slips)
        self.u = nn.ParameterList(torch.randn(12, 3) / 2 for _ in slips)
        self.b = nn.ParameterList(torch.randn(12) / 2 for _ in slips)
        self.drop, self.head = nn.Dropout(drop), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        steps = list(x.unbind(1))
        for place, cell in enumerate(self.cells):
            h, c, seen = x.new_zeros(len(x), 3), x.new_zeros(len(x), 3), []
            for step in steps:
                h, c = cell(step, h, c, self.w[place], self.u[place], self.b[place])
                seen.append(self.drop(h))
            steps = seen
        return self.head(steps[-1])


class Gated(nn.Module):
    """A GRU: the candidate is a dense layer by hand, three layers deep."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.candidates = nn.ModuleList(Dense(6, 3, slip) for slip in slips)
        self.gates = nn.ModuleList(nn.Linear(6, 6) for _ in slips)
        self.drop, self.head = nn.Dropout(drop), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        steps = list(x.unbind(1))
        for candidate, gate in zip(self.candidates, self.gates, strict=True):
            h, seen = x.new_zeros(len(x), 3), []
            for step in steps:
                z, r = torch.sigmoid(gate(torch.cat([step, h], 1))).chunk(2, 1)
                h = (1 - z) * h + z * candidate(torch.cat([step, r * h], 1))
                seen.append(self.drop(h))
            steps = seen
        return self.head(steps[-1])


class Transformer(nn.Module):
    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.kinds = slips
        right = None if slips[0] is None else ""
        norms = [slip if slip in NAMED["layer norm"].slips else right for slip in slips]
        heads = [slip if slip in NAMED["attention"].slips else right for slip in slips]
        self.norms = nn.ModuleList(Norm(4, slip) for slip in norms)
        self.attentions = [layer("attention", slip) for slip in heads]
        self.qkv = nn.ModuleList(nn.Linear(4, 12) for _ in slips)
        self.out = nn.ModuleList(nn.Linear(4, 4) for _ in slips)
        self.up, self.down = (
            nn.ModuleList(nn.Linear(4, 6) for _ in slips),
            nn.ModuleList(nn.Linear(6, 4) for _ in slips),
        )
        self.gelu = layer("gelu", right)
        self.drop, self.head = nn.Dropout(drop), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        n, t, _ = x.shape
        for place in range(3):
            q, k, v = self.qkv[place](self.norms[place](x)).reshape(n, t, 3, 2, 2).permute(2, 0, 3, 1, 4)
            mixed = self.attentions[place](q, k, v, True, None).transpose(1, 2).reshape(n, t, 4)
            x = x + self.drop(self.out[place](mixed))
            x = x + self.drop(self.down[place](self.gelu(self.up[place](x))))
        return self.head(x.mean(1))


class Mixture(nn.Module):
    """Three experts, weighted by a softmax by hand."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.experts = nn.ModuleList(Dense(4, 4, slip) for slip in slips)
        self.gate = nn.Linear(4, 3)
        self.softmax = layer("softmax", None if slips[0] is None else "")
        self.drop, self.head = nn.Dropout(drop), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        share = self.softmax(self.gate(x))
        return self.head(self.drop(sum(share[:, [i]] * expert(x) for i, expert in enumerate(self.experts))))


class Residual(nn.Module):
    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.norms = nn.ModuleList(Norm(4, slip) for slip in slips)
        self.linears = nn.ModuleList(nn.Linear(4, 4) for _ in slips)
        self.drop, self.head = nn.Dropout(drop), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        for norm, linear in zip(self.norms, self.linears, strict=True):
            x = x + self.drop(torch.tanh(linear(norm(x))))
        return self.head(x)


class Tied(nn.Module):
    """An autoencoder that decodes with the weights it encodes with."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.weights = nn.ParameterList(torch.randn(4, 4) / 2 for _ in slips)
        self.inner = nn.ParameterList(0.2 * torch.randn(4) for _ in slips)
        self.outer = nn.ParameterList(0.2 * torch.randn(4) for _ in slips)
        self.functions = [layer("dense", slip) for slip in slips]
        self.drop = nn.Dropout(drop)

    def forward(self, x: Any) -> Any:
        for function, w, b in zip(self.functions, self.weights, self.inner, strict=True):
            x = function(x, w, b)
        x = self.drop(x)
        for w, b in zip(reversed(self.weights), self.outer, strict=True):
            x = x @ w + b
        return x


class Words(nn.Module):
    """Three tables for words, positions and kinds; the norm and the head are PyTorch's."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.tables = nn.ParameterList(torch.randn(7, 3) for _ in slips)
        self.functions = [layer("embedding", slip) for slip in slips]
        self.norm, self.drop, self.head = nn.LayerNorm(3), nn.Dropout(drop), nn.Linear(3, 4)

    def forward(self, index: Any) -> Any:
        x = sum(
            function(table, index[..., i], 0)
            for i, (function, table) in enumerate(zip(self.functions, self.tables, strict=True))
        )
        return self.head(self.drop(self.norm(torch.tanh(x)).mean(1)))


def cross_entropy(module: Any, x: Any, y: Any) -> Any:
    return F.cross_entropy(module(x), y)


class Flow(nn.Module):
    """Three linear maps with tanh, the likelihood with the log determinants by hand."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.matrices = nn.ParameterList(torch.eye(3) * 1.5 + 0.4 * torch.randn(3, 3) for _ in slips)
        self.shifts = nn.ParameterList(0.3 * torch.randn(3) for _ in slips)
        self.functions = [layer("log determinant", slip) for slip in slips]

    def forward(self, x: Any) -> Any:
        total = x.new_zeros(len(x))
        for matrix, shift, function in zip(self.matrices, self.shifts, self.functions, strict=True):
            x = x @ matrix.t() + shift
            total = total + function(matrix[None])[0] + torch.log(1 - 0.25 * torch.tanh(x) ** 2).sum(1)
            x = x - 0.1 * torch.sin(x)
        return x, total


def likelihood(module: Any, x: Any) -> Any:
    z, total = module(x)
    return (0.5 * (z * z).sum(1) - total).mean()


class Graph(nn.Module):
    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.functions = [layer("messages", slip) for slip in slips]
        self.edges = nn.ParameterList(torch.randn(9) for _ in slips)
        self.linears = nn.ModuleList(nn.Linear(3, 3) for _ in slips)
        generator = torch.Generator().manual_seed(2)
        self.register_buffer("source", torch.randint(0, 5, (9,), generator=generator))
        self.register_buffer("target", torch.randint(0, 5, (9,), generator=generator))
        self.drop, self.head = nn.Dropout(drop), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        for function, edge, linear in zip(self.functions, self.edges, self.linears, strict=True):
            x = self.drop(F.silu(linear(function(x, edge, self.source, self.target)) + x))
        return self.head(x)


class Batched(nn.Module):
    """Three batch norms by hand that keep running statistics."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.functions = [layer("batch norm", slip) for slip in slips]
        self.gammas = nn.ParameterList(1 + 0.3 * torch.randn(4) for _ in slips)
        self.betas = nn.ParameterList(0.3 * torch.randn(4) for _ in slips)
        self.linears = nn.ModuleList(nn.Linear(4, 4) for _ in slips)
        self.register_buffer("mean", torch.zeros(3, 4))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.drop, self.head = nn.Dropout(drop), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        for place in range(3):
            x = self.linears[place](x)
            if self.training:
                self.mean[place] = 0.9 * self.mean[place] + 0.1 * x.detach().mean(0)
                self.seen += 1
                x = self.functions[place](x, self.gammas[place], self.betas[place], 0.1)
            else:
                x = (x - self.mean[place]) * self.gammas[place] + self.betas[place]
            x = self.drop(torch.tanh(x))
        return self.head(x)


class States(nn.Module):
    """Three linear recurrences with learned gates."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.functions = [layer("scan", slip) for slip in slips]
        self.gates = nn.ModuleList(nn.Linear(3, 3) for _ in slips)
        self.values = nn.ModuleList(nn.Linear(3, 3) for _ in slips)
        self.starts = nn.ParameterList(torch.randn(3) for _ in slips)
        self.drop, self.head = nn.Dropout(drop), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        for function, gate, value, start in zip(self.functions, self.gates, self.values, self.starts, strict=True):
            x = self.drop(function(torch.sigmoid(gate(x)), torch.tanh(value(x)), start.expand(len(x), 3)))
        return self.head(x.mean(1))


class Noisy(nn.Module):
    """A variational autoencoder: the cost draws noise, in eval mode as well."""

    def __init__(self, slips: Any, drop: Any) -> None:
        nn.Module.__init__(self)
        self.layers = nn.ModuleList(Dense(4, 4, slip) for slip in slips)
        self.mean, self.spread = nn.Linear(4, 2), nn.Linear(4, 2)
        self.back, self.drop = nn.Linear(2, 4), nn.Dropout(drop)

    def forward(self, x: Any) -> Any:
        h = self.drop(self.layers[1](self.layers[0](x)))
        m, s = self.mean(h), self.spread(h)
        z = m + torch.exp(s) * torch.randn_like(m)
        return self.layers[2](self.back(z)), m, s


def evidence(module: Any, x: Any) -> Any:
    back, m, s = module(x)
    return ((back - x) ** 2).sum(1).mean() + 0.5 * (m * m + torch.exp(2 * s) - 1 - 2 * s).sum(1).mean()


def pairs(*shape: Any, out: Any = 2) -> Any:
    return lambda g: (rand(g, *shape), rand(g, shape[0], out))


@dataclass(frozen=True)
class Network:
    """A module, its cost and data, and the slips that its custom layers may carry."""

    name: str
    build: Callable[[tuple[str | None, str | None, str | None], float], nn.Module]
    cost: Callable[..., Any]
    data: Callable[[torch.Generator], tuple[Any, ...]]
    slips: Mapping[str, str]
    examples_axis: int | None = None
    training: bool = False  # the slips show in training mode only


DENSE = {
    name: NAMED["dense"].slips[name]
    for name in (
        "no derivative",
        "bias mean",
        "gradient transposed",
        "derivative of the sigmoid",
        "weights None",
        "divided by the batch",
    )
}


def chosen(operator: Any, *names: Any) -> Any:
    return {name: NAMED[operator].slips[name] for name in names}


NETWORKS = (
    Network("perceptron", Perceptron, mean_square, pairs(6, 5), DENSE),
    Network(
        "convolutions",
        Convolutions,
        mean_square,
        pairs(4, 2, 8),
        chosen("convolution", "kernel flipped", "assigned", "border dropped", "bias mean over steps"),
    ),
    Network(
        "memory",
        Memory,
        mean_square,
        pairs(4, 5, 3),
        chosen("cell", "cell cotangent ignored", "new cell for old", "tanh gate as sigmoid", "forget gate zero"),
    ),
    Network(
        "gated",
        Gated,
        mean_square,
        pairs(4, 4, 3),
        {name: DENSE[name] for name in ("no derivative", "bias mean", "weights None")},
    ),
    Network(
        "transformer",
        Transformer,
        mean_square,
        pairs(3, 4, 4),
        {
            **chosen("attention", "scale forgotten", "row sum forgotten", "keys not scaled"),
            **chosen("layer norm", "mean path forgotten", "gamma and beta exchanged"),
        },
    ),
    Network(
        "mixture",
        Mixture,
        mean_square,
        pairs(5, 4),
        {name: DENSE[name] for name in ("no derivative", "gradient transposed", "divided by the batch")},
    ),
    Network(
        "residual",
        Residual,
        mean_square,
        pairs(5, 4),
        chosen("layer norm", "gamma forgotten", "variance path forgotten", "gamma from x", "gamma and beta exchanged"),
    ),
    Network(
        "tied",
        Tied,
        mean_square,
        pairs(5, 4, out=4),
        {name: DENSE[name] for name in ("weights None", "gradient transposed", "bias mean", "no derivative")},
    ),
    Network(
        "words",
        Words,
        cross_entropy,
        lambda g: (torch.randint(0, 7, (5, 4, 3), generator=g), torch.randint(0, 4, (5,), generator=g)),
        chosen("embedding", "assigned", "next row", "divided by the count", "padding kept"),
    ),
    Network(
        "flow",
        Flow,
        likelihood,
        lambda g: (rand(g, 6, 3),),
        chosen("log determinant", "not transposed", "sign", "determinant"),
    ),
    Network(
        "graph",
        Graph,
        mean_square,
        pairs(5, 3),
        chosen("messages", "assigned", "ends exchanged", "weights forgotten", "degree"),
    ),
    Network(
        "batched",
        Batched,
        mean_square,
        pairs(6, 4),
        chosen("batch norm", "statistics as constants", "mean path forgotten", "beta mean", "eps forgotten"),
        training=True,
    ),
    Network(
        "states",
        States,
        mean_square,
        pairs(3, 6, 3),
        chosen("scan", "truncated", "no carry", "state after", "first state forgotten"),
    ),
    Network(
        "noisy",
        Noisy,
        evidence,
        lambda g: (rand(g, 5, 4),),
        {name: DENSE[name] for name in ("no derivative", "gradient transposed", "bias total") if name in DENSE},
    ),
)


def parameter_gaps(network: Any, slips: Any, training: Any, drop: Any = 0.3) -> Any:
    """The module under test, per parameter how far its gradient is from the true one, and the data."""
    data = network.data(torch.Generator().manual_seed(9))
    modules = []
    for chosen_slips in (slips, (None, None, None)):
        torch.manual_seed(1)
        modules.append(network.build(chosen_slips, drop).double().train(training))
    claimed, true = (_gradients(module, network.cost, data) for module in modules)
    size = max(float(gradient.norm()) for gradient in true.values())
    distances = {name: _distance(claimed[name], gradient, size) for name, gradient in true.items()}
    return modules[0], distances, data


def _distance(claimed: Any, true: Any, size: Any) -> Any:
    """Like ``gap``, but what is zero up to rounding in both is the same."""
    if claimed is not None and max(float(true.norm()), float(claimed.norm())) < 1e-13 * size:
        return 0.0
    return gap(claimed, true)


def _gradients(module: Any, cost: Any, data: Any) -> Any:
    before = {name: value.clone() for name, value in module.named_buffers()}
    torch.manual_seed(77)
    parameters = dict(module.named_parameters())
    gradients = torch.autograd.grad(cost(module, *data), list(parameters.values()), allow_unused=True)
    with torch.no_grad():
        for name, value in module.named_buffers():
            value.copy_(before[name])
    return dict(zip(parameters, gradients, strict=True))
