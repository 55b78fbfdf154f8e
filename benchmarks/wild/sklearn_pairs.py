"""Losses, linear models, kernels, Gaussian processes and networks of scikit-learn."""

import itertools
from functools import partial
from typing import Any

import numpy as np
from sklearn._loss import loss as losses
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.linear_model._huber import _huber_loss_and_gradient
from sklearn.linear_model._linear_loss import LinearModelLoss
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import MLPClassifier, MLPRegressor

from wild import Pair, cost, elementwise, hessian, outputs

RNG = np.random.default_rng(17)
X = RNG.standard_normal((30, 4))
NUMBERS, COUNTS = RNG.standard_normal(30), RNG.poisson(2.0, 30).astype(float)
POSITIVE, BINARY, CLASSES = (
    RNG.gamma(2.0, 1.0, 30),
    RNG.integers(0, 2, 30).astype(float),
    RNG.integers(0, 3, 30).astype(float),
)

#: Loss, target, and whether it has kinks that a random point may come near.
LOSSES: dict[str, tuple[Any, Any]] = {
    "HalfSquaredError": (losses.HalfSquaredError(), NUMBERS),
    "AbsoluteError": (losses.AbsoluteError(), NUMBERS),
    "PinballLoss": (losses.PinballLoss(quantile=0.3), NUMBERS),
    "HuberLoss": (losses.HuberLoss(delta=1.0), NUMBERS),
    "HalfPoissonLoss": (losses.HalfPoissonLoss(), COUNTS),
    "HalfGammaLoss": (losses.HalfGammaLoss(), POSITIVE),
    "HalfTweedieLoss(1.5)": (losses.HalfTweedieLoss(power=1.5), POSITIVE),
    "HalfTweedieLoss(2.5)": (losses.HalfTweedieLoss(power=2.5), POSITIVE),
    "HalfTweedieLossIdentity(1.5)": (losses.HalfTweedieLossIdentity(power=1.5), POSITIVE),
    "HalfBinomialLoss": (losses.HalfBinomialLoss(), BINARY),
    "ExponentialLoss": (losses.ExponentialLoss(), BINARY),
}


def pairs() -> list[Pair]:
    """All of them."""
    return [*_losses(), *_linear(), *_stochastic(), *_kernels(), *_processes(), *_networks(), *_others()]


def _normal(*shape: int) -> Any:
    return lambda rng: rng.standard_normal(shape)


def _losses() -> list[Pair]:
    found = []
    for name, (loss, y) in LOSSES.items():
        at = (lambda rng: rng.uniform(0.5, 2.0, 30)) if "Identity" in name else _normal(30)
        found.append(
            cost(
                f"sklearn {name} gradient",
                lambda raw, loss=loss, y=y: float(np.sum(loss.loss(y, raw))),
                lambda raw, loss=loss, y=y: loss.gradient(y, raw),
                at,
            )
        )
        if name not in ("AbsoluteError", "PinballLoss", "HuberLoss"):
            found.append(
                hessian(
                    f"sklearn {name} hessian",
                    lambda raw, loss=loss, y=y: loss.gradient(y, raw),
                    lambda raw, loss=loss, y=y: np.diag(loss.gradient_hessian(y, raw)[1]),
                    at,
                )
            )
    multinomial = losses.HalfMultinomialLoss(n_classes=3)
    found.append(
        cost(
            "sklearn HalfMultinomialLoss gradient",
            lambda raw: float(np.sum(multinomial.loss(CLASSES, raw))),
            lambda raw: multinomial.gradient(CLASSES, np.ascontiguousarray(raw)),
            _normal(30, 3),
        )
    )
    return found


def _linear() -> list[Pair]:
    found = []
    for name, (loss, y) in LOSSES.items():
        if name in ("AbsoluteError", "PinballLoss", "HuberLoss", "ExponentialLoss") or "Identity" in name:
            continue
        for intercept in (False, True):
            model = LinearModelLoss(base_loss=loss, fit_intercept=intercept)
            given = {"X": X, "y": y, "sample_weight": None, "l2_reg_strength": 0.3}
            at = _normal(4 + intercept)
            found.append(
                cost(
                    f"sklearn LinearModelLoss {name} intercept={intercept}",
                    partial(model.loss_gradient, **given),
                    True,
                    at,
                )
            )
            found.append(
                hessian(
                    f"sklearn LinearModelLoss {name} intercept={intercept} hessian",
                    partial(model.gradient, **given),
                    lambda w, model=model, given=given: model.gradient_hessian(w, **given)[1],
                    at,
                )
            )
    many = LinearModelLoss(base_loss=losses.HalfMultinomialLoss(n_classes=3), fit_intercept=True)
    given = {"X": X, "y": CLASSES, "sample_weight": None, "l2_reg_strength": 0.3}
    found.append(
        cost(
            "sklearn LinearModelLoss multinomial",
            lambda w: (lambda pair: (pair[0], np.ravel(pair[1], order="F")))(
                many.loss_gradient(np.reshape(w, (3, 5), order="F"), **given)
            ),
            True,
            _normal(15),
        )
    )
    return found


def _stochastic() -> list[Pair]:
    try:
        from sklearn.linear_model import _sgd_fast as fast
    except ImportError:
        return []
    found = []
    for name, loss, y, low, high in (
        ("SquaredHinge", "SquaredHinge", 1.0, -2.0, 0.9),
        ("Hinge", "Hinge", 1.0, -2.0, 0.9),
        ("ModifiedHuber", "ModifiedHuber", 1.0, -0.9, 0.9),
        ("EpsilonInsensitive", "EpsilonInsensitive", 0.0, 0.5, 2.0),
        ("SquaredEpsilonInsensitive", "SquaredEpsilonInsensitive", 0.0, 0.5, 2.0),
    ):
        kind = getattr(fast, loss, None)
        if kind is None:
            continue
        made = kind(0.1) if "Epsilon" in name else kind()
        value = getattr(made, "py_loss", None)
        slope = getattr(made, "py_dloss", None)
        if value is not None and slope is not None:
            found.append(
                elementwise(
                    f"sklearn SGD {name}",
                    lambda p, v=value, y=y: np.array([v(float(a), y) for a in p]),
                    lambda p, s=slope, y=y: np.array([s(float(a), y) for a in p]),
                    low,
                    high,
                )
            )
    return found


def _kernels() -> list[Pair]:
    k = kernels
    made = {
        "RBF": k.RBF(1.3),
        "RBF (anisotropic)": k.RBF([0.5, 1.0, 1.5, 2.0]),
        "Matern(0.5)": k.Matern(1.2, nu=0.5),
        "Matern(1.5)": k.Matern(1.2, nu=1.5),
        "Matern(2.5)": k.Matern(1.2, nu=2.5),
        "Matern(inf)": k.Matern(1.2, nu=np.inf),
        "Matern(0.5, anisotropic)": k.Matern([0.5, 1.0, 1.5, 2.0], nu=0.5),
        "Matern(1.5, anisotropic)": k.Matern([0.5, 1.0, 1.5, 2.0], nu=1.5),
        "Matern(2.5, anisotropic)": k.Matern([0.5, 1.0, 1.5, 2.0], nu=2.5),
        "RationalQuadratic": k.RationalQuadratic(1.2, 0.7),
        "ExpSineSquared": k.ExpSineSquared(1.2, 3.0),
        "DotProduct": k.DotProduct(0.8),
        "ConstantKernel": k.ConstantKernel(0.8),
        "WhiteKernel": k.WhiteKernel(0.3),
        "Sum": k.RBF(1.3) + k.WhiteKernel(0.2),
        "Product": k.ConstantKernel(0.8) * k.RBF(1.3),
        "Exponentiation": k.RationalQuadratic(1.2, 0.7) ** 2,
        "sum of products": k.ConstantKernel(0.5) * k.Matern(1.1, nu=1.5)
        + k.DotProduct(0.3) * k.ExpSineSquared(1.0, 2.0),
        "PairwiseKernel(laplacian)": k.PairwiseKernel(0.7, metric="laplacian"),
    }
    return [_kernel(name, kernel) for name, kernel in made.items()]


def _kernel(name: str, kernel: Any) -> Pair:
    def value(theta: Any) -> Any:
        return kernel.clone_with_theta(theta)(X[:8])

    def slope(theta: Any) -> Any:
        return kernel.clone_with_theta(theta)(X[:8], eval_gradient=True)[1]

    return outputs(
        f"sklearn kernel {name}", value, slope, lambda rng: kernel.theta + 0.1 * rng.standard_normal(len(kernel.theta))
    )


def _processes() -> list[Pair]:
    found = []
    made = {
        "RBF": kernels.RBF(1.3) + kernels.WhiteKernel(0.2),
        "Matern": kernels.ConstantKernel(0.8) * kernels.Matern(1.2, nu=1.5),
    }
    for name, kernel in made.items():
        regressor = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(X, NUMBERS)

        def at(rng: Any, kernel: Any = kernel) -> Any:
            return kernel.theta + 0.2 * rng.standard_normal(len(kernel.theta))

        found.append(
            cost(
                f"sklearn GaussianProcessRegressor {name}",
                partial(regressor.log_marginal_likelihood, eval_gradient=True, clone_kernel=False),
                True,
                at,
            )
        )
    kernel = kernels.ConstantKernel(0.8) * kernels.RBF(1.3)
    classifier = GaussianProcessClassifier(kernel, optimizer=None, max_iter_predict=1000).fit(X, BINARY)
    found.append(
        cost(
            "sklearn GaussianProcessClassifier",
            lambda theta: classifier.log_marginal_likelihood(theta, eval_gradient=True),
            True,
            lambda rng: kernel.theta + 0.2 * rng.standard_normal(2),
        )
    )
    return found


def _networks() -> list[Pair]:
    found = []
    for activation in ("identity", "logistic", "tanh", "relu"):
        for kind, y in ((MLPRegressor, NUMBERS), (MLPClassifier, BINARY), (MLPClassifier, CLASSES)):
            found.append(_network(kind, y, activation))
    return found


def _network(kind: Any, y: Any, activation: str) -> Pair:
    net = kind(hidden_layer_sizes=(5,), activation=activation, alpha=0.3, max_iter=1, solver="sgd", random_state=3)
    net.fit(X, y)
    layers = [4, 5, net.n_outputs_]
    target = y.reshape(-1, 1) if kind is MLPRegressor else net._label_binarizer.transform(y)
    target = target.astype(float)

    def loss(packed: Any) -> Any:
        net._unpack(packed)
        activations: list[Any] = [X, *[None] * 2]
        deltas: list[Any] = [None] * 2
        weights = [np.empty((a, b)) for a, b in itertools.pairwise(layers)]
        biases = [np.empty(b) for b in layers[1:]]
        more = [None] if "sample_weight" in net._backprop.__code__.co_varnames else []
        value, weights, biases = net._backprop(X, target, *more, activations, deltas, weights, biases)
        return float(value), np.hstack([part.ravel() for part in (*weights, *biases)])

    size = sum(a * b + b for a, b in itertools.pairwise(layers))
    # A network packs its parameters when it is fitted by L-BFGS; the places are made here as they are there.
    bounds, start = [], 0
    for a, b in itertools.pairwise(layers):
        bounds.append((start, start + a * b, (a, b)))
        start += a * b
    net._coef_indptr = bounds
    net._intercept_indptr = [(start, start + layers[1]), (start + layers[1], start + layers[1] + layers[2])]
    return cost(
        f"sklearn {kind.__name__} {activation}, {net.n_outputs_} outputs",
        loss,
        True,
        lambda rng: 0.5 * rng.standard_normal(size),
    )


def _others() -> list[Pair]:
    weights = np.ones(30)
    components = NeighborhoodComponentsAnalysis(2, max_iter=1).fit(X, CLASSES)
    same = CLASSES[:, None] == CLASSES[None, :]
    from sklearn.manifold import _t_sne

    p = np.abs(RNG.standard_normal(45)) + 0.1
    return [
        cost(
            "sklearn HuberRegressor",
            lambda w: _huber_loss_and_gradient(w, X, NUMBERS, 1.35, 0.3, weights),
            True,
            lambda rng: np.r_[rng.standard_normal(5), 1.0 + rng.random()],
        ),
        cost(
            "sklearn NeighborhoodComponentsAnalysis",
            lambda a: components._loss_grad_lbfgs(a.copy(), X, same, -1.0),
            True,
            _normal(8),
        ),
        cost(
            "sklearn TSNE _kl_divergence",
            lambda e: _t_sne._kl_divergence(e, 0.5 * p / p.sum(), 1, 10, 2),
            True,
            _normal(20),
        ),
    ]
