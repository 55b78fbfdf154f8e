"""The network of the course notes: its gradient against complex steps, its types, its steps, its data."""

import hashlib
import math
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Any, get_args

import numpy as np
import pytest

from gradproof import network
from gradproof.network.activations import log_softmax, softplus, tanh_derivative
from gradproof.network.types import Array, Gradients, Hidden, Method, OptimizerName, Output, Parameters

DIMS = (5, 4, 3, 3)
HIDDENS: tuple[Hidden, ...] = get_args(Hidden)
OUTPUTS: tuple[Output, ...] = get_args(Output)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
COMBINATIONS = list(product(HIDDENS, OUTPUTS, (0.0, 0.7), (1.0, 0.6)))
Loss = Callable[[Parameters], Any]


def examples(dtype: Any = np.float64, m: int = 7) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    labels = np.arange(m) % 3
    return rng.standard_normal((5, m)).astype(dtype), (labels == np.arange(3)[:, None]).astype(dtype)


def trained_looking(dtype: Any = np.float64) -> Parameters:
    """Biases away from 0, where some mistakes would hide."""
    rng = np.random.default_rng(2)
    parameters = network.initialize_parameters(DIMS, seed=2)
    return {name: (p + 0.3 * rng.standard_normal(p.shape)).astype(dtype) for name, p in parameters.items()}


def moved(parameters: Parameters, step: Any, dtype: Any) -> Iterator[tuple[str, tuple[int, ...], Parameters]]:
    for name, p in parameters.items():
        for index in np.ndindex(p.shape):
            changed = {other: q.astype(dtype) for other, q in parameters.items()}
            changed[name][index] += step
            yield name, index, changed


def complex_step(loss: Loss, parameters: Parameters) -> Gradients:
    slopes = {f"d{name}": np.empty(p.shape) for name, p in parameters.items()}
    for name, index, changed in moved(parameters, 1e-30j, np.complex128):
        slopes[f"d{name}"][index] = loss(changed).imag / 1e-30
    return slopes


def distance(grads: Gradients, slopes: Gradients) -> float:
    """Largest difference of any component, relative to the largest component of all."""
    assert list(grads) == list(slopes)
    assert all(grads[name].shape == slopes[name].shape for name in grads)
    size = max(float(np.max(np.abs(slope))) for slope in slopes.values())
    return max(float(np.max(np.abs(grads[name] - slopes[name]))) for name in grads) / size


@pytest.mark.parametrize(("hidden", "output", "lambd", "keep_prob"), COMBINATIONS)
def test_backpropagation_agrees_with_complex_steps(
    hidden: Hidden, output: Output, lambd: float, keep_prob: float
) -> None:
    X, Y = examples()
    parameters = trained_looking()
    options: dict[str, Any] = {"hidden": hidden, "output": output, "keep_prob": keep_prob, "rng": 3}
    slopes = complex_step(lambda p: network.cost(p, X, Y, lambd=lambd, **options), parameters)
    grads = network.gradients(parameters, X, Y, lambd=lambd, **options)
    assert distance(grads, slopes) < 1e-13
    for name in grads:
        wrong = {**grads, name: grads[name] * 1.001 + 1e-6}
        assert distance(wrong, slopes) > 1e-8
    assert distance(network.gradients(parameters, X, Y, lambd=lambd + 0.1, **options), slopes) > 1e-4
    other_masks = network.gradients(parameters, X, Y, lambd=lambd, **{**options, "rng": 4})
    assert (distance(other_masks, slopes) > 1e-4) == (keep_prob < 1)


def test_backpropagation_agrees_with_central_differences_in_longdouble() -> None:
    X, Y = examples(np.longdouble)
    parameters = trained_looking(np.longdouble)
    step = np.longdouble(2) ** -18
    grads = network.gradients(parameters, X, Y, lambd=0.7, hidden="tanh")
    slopes = {name: np.empty_like(grad) for name, grad in grads.items()}
    ups = moved(parameters, step, np.longdouble)
    downs = moved(parameters, -step, np.longdouble)
    for (name, index, up), (_, _, down) in zip(ups, downs, strict=True):
        rise = network.cost(up, X, Y, lambd=0.7, hidden="tanh") - network.cost(down, X, Y, lambd=0.7, hidden="tanh")
        slopes[f"d{name}"][index] = rise / (2 * step)
    assert distance(grads, slopes) < 1e-9
    assert distance({**grads, "db2": grads["db2"] * (1 + 1e-7)}, slopes) > 1e-9


@pytest.mark.parametrize("output", OUTPUTS)
def test_labels_that_are_not_one_hot_are_differentiated_exactly(output: Output) -> None:
    X, _ = examples()
    Y = np.random.default_rng(5).random((3, 7))
    parameters = trained_looking()
    slopes = complex_step(lambda p: network.cost(p, X, Y, output=output), parameters)
    assert distance(network.gradients(parameters, X, Y, output=output), slopes) < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize(("hidden", "output", "lambd", "keep_prob"), COMBINATIONS)
def test_everything_stays_in_the_type_of_the_parameters(
    dtype: Any, hidden: Hidden, output: Output, lambd: float, keep_prob: float
) -> None:
    X, _ = examples(dtype)
    Y = examples()[1]
    parameters = network.initialize_parameters(DIMS, seed=0, dtype=dtype)
    AL, caches = network.forward_propagation(X, parameters, hidden=hidden, output=output, keep_prob=keep_prob, rng=0)
    value = network.compute_cost(caches, Y, parameters, np.float64(lambd))
    grads = network.backward_propagation(AL, Y, caches, np.float64(lambd))
    v, s = network.initialize_adam(parameters)
    made = [AL, value, *parameters.values(), *grads.values()]
    made += network.update_parameters(parameters, grads, np.float64(0.1)).values()
    made += [
        a
        for part in network.update_parameters_with_momentum(parameters, grads, v, learning_rate=0.1)
        for a in part.values()
    ]
    made += [a for part in network.update_parameters_with_adam(parameters, grads, v, s, 1) for a in part.values()]
    assert {a.dtype for a in made} == {np.dtype(dtype)}


def test_longdouble_is_not_rounded_to_float64_on_the_way() -> None:
    X, Y = examples(np.longdouble)
    eps, coarse = np.finfo(np.longdouble).eps, np.finfo(np.float64).eps
    # On platforms where both types are the same there is nothing between them to lose.
    change = 64 * eps if eps < coarse else 2.0**-20
    for hidden, output in product(HIDDENS, OUTPUTS):
        parameters = trained_looking(np.longdouble)
        nearby = {name: p * (1 + change) for name, p in parameters.items()}
        options: dict[str, Any] = {"lambd": 0.1, "hidden": hidden, "output": output}
        rise = network.cost(nearby, X, Y, **options) - network.cost(parameters, X, Y, **options)
        grads = network.gradients(parameters, X, Y, **options)
        slope = sum(np.sum(p * grads[f"d{name}"]) for name, p in parameters.items())
        assert float(rise / change) == pytest.approx(float(slope), rel=0.2)


def test_the_cost_is_exact_where_probabilities_round_to_0_and_1() -> None:
    parameters = {"W1": np.array([[1000.0], [-1000.0]]), "b1": np.zeros((2, 1))}
    X = np.array([[1.0]])
    assert network.cost(parameters, X, np.array([[0.0], [1.0]])) == 2000.0
    assert network.cost(parameters, X, np.array([[0.0], [1.0]]), output="sigmoid") == 2000.0
    assert network.cost(parameters, X * 0.05, np.array([[1.0], [0.0]]), output="sigmoid") == pytest.approx(
        2 * math.exp(-50), rel=1e-12, abs=0
    )


def test_activations_at_extremes() -> None:
    Z = np.array([[-2000.0, -20.0, 0.0, 20.0, 2000.0]])
    assert np.array_equal(network.relu(Z), [[0, 0, 0, 20, 2000]])
    assert network.sigmoid(Z)[0, [0, 2, 4]].tolist() == [0.0, 0.5, 1.0]
    assert tanh_derivative(Z)[0, 3] == pytest.approx(4 * math.exp(-40), rel=1e-12, abs=0)
    assert softplus(Z)[0, [0, 2, 4]] == pytest.approx([0, math.log(2), 2000], rel=1e-15, abs=0)
    assert np.array_equal(network.softmax(Z.T)[:, 0], [0, 0, 0, 0, 1])
    assert log_softmax(Z.T)[0, 0] == -4000


def test_the_cost_of_a_network_worked_out_by_hand() -> None:
    parameters = {
        "W1": np.array([[1.0, 2.0]]),
        "b1": np.array([[0.5]]),
        "W2": np.array([[2.0]]),
        "b2": np.array([[-1.0]]),
    }
    X, Y = np.array([[1.0, -1.0], [0.0, 0.0]]), np.array([[1.0, 0.0]])
    # relu(1.5), relu(-0.5) = 1.5, 0; logits 2, -1
    losses = math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))
    assert network.cost(parameters, X, Y, output="sigmoid") == pytest.approx(losses / 2, rel=1e-15)
    penalised = network.cost(parameters, X, Y, output="sigmoid", lambd=0.8)
    assert penalised == pytest.approx(losses / 2 + 0.8 / 4 * (1 + 4 + 4), rel=1e-15)


def test_dropout_is_inverted_kept_in_the_caches_and_never_on_the_output() -> None:
    X, _ = examples(m=4000)
    parameters = trained_looking()
    _, caches = network.forward_propagation(X, parameters, keep_prob=0.8, rng=np.random.default_rng(0))
    assert caches[-1].D is None
    for cache, above in pairwise(caches):
        assert cache.D is not None
        assert np.array_equal(above.A_prev, network.relu(cache.Z) * cache.D / 0.8)
        # Six standard deviations.
        assert abs(cache.D.mean() - 0.8) < 6 * math.sqrt(0.16 / cache.D.size)
    assert all(cache.D is None for cache in network.forward_propagation(X, parameters, rng=0)[1])


def test_dropout_masks_are_fixed_by_an_integer_and_new_with_a_generator() -> None:
    X, Y = examples()
    parameters = trained_looking()
    rng = np.random.default_rng(0)
    fixed = {network.cost(parameters, X, Y, keep_prob=0.5, rng=0) for _ in range(5)}
    drawn = {network.cost(parameters, X, Y, keep_prob=0.5, rng=rng) for _ in range(5)}
    assert len(fixed) == 1
    assert len(drawn) == 5


def test_no_function_writes_into_its_arguments_or_uses_the_global_generator() -> None:
    X, Y = examples()
    parameters = trained_looking()
    frozen = [X, Y, *parameters.values()]
    for array in frozen:
        array.flags.writeable = False
    legacy: Any = np.random.get_state()  # noqa: NPY002  (the state that must not change)
    before = hashlib.sha256(legacy[1].tobytes()).hexdigest(), legacy[2]
    grads = network.gradients(parameters, X, Y, lambd=0.1, keep_prob=0.5, rng=0)
    network.cost(parameters, X, Y, lambd=0.1, keep_prob=0.5, rng=0)
    v, s = network.initialize_adam(parameters)
    for array in [*grads.values(), *v.values(), *s.values()]:
        array.flags.writeable = False
    network.update_parameters(parameters, grads, 0.1)
    network.update_parameters_with_momentum(parameters, grads, v, learning_rate=0.1)
    network.update_parameters_with_adam(parameters, grads, v, s, 1)
    for optimizer in OPTIMIZERS:
        network.train(X, Y, DIMS, seed=0, epochs=2, optimizer=optimizer, keep_prob=0.5, parameters=parameters)
    legacy = np.random.get_state()  # noqa: NPY002
    assert (hashlib.sha256(legacy[1].tobytes()).hexdigest(), legacy[2]) == before


@pytest.mark.parametrize(("method", "gain"), [("he", 2.0), ("xavier", 1.0)])
def test_initial_weights_have_the_stated_variance(method: Method, gain: float) -> None:
    parameters = network.initialize_parameters((50, 400, 3), seed=0, method=method)
    assert list(parameters) == ["W1", "b1", "W2", "b2"]
    assert [p.shape for p in parameters.values()] == [(400, 50), (400, 1), (3, 400), (3, 1)]
    assert not parameters["b1"].any()
    assert parameters["W1"].var() == pytest.approx(gain / 50, rel=6 * math.sqrt(2 / 20000))
    again = network.initialize_parameters((50, 400, 3), seed=0, method=method)
    assert all(np.array_equal(parameters[name], again[name]) for name in parameters)
    other = network.initialize_parameters((50, 400, 3), seed=1, method=method)
    assert not np.array_equal(parameters["W1"], other["W1"])


def test_steps_worked_out_by_hand() -> None:
    parameters = {"W1": np.array([[1.0]]), "b1": np.array([[2.0]])}
    grads = {"dW1": np.array([[0.5]]), "db1": np.array([[-4.0]])}
    descended = network.update_parameters(parameters, grads, 0.1)
    assert (descended["W1"].item(), descended["b1"].item()) == pytest.approx((0.95, 2.4), rel=1e-15)

    v = network.initialize_velocity(parameters)
    rolled, v = network.update_parameters_with_momentum(parameters, grads, v, learning_rate=0.1, beta=0.9)
    rolled, v = network.update_parameters_with_momentum(rolled, grads, v, learning_rate=0.1, beta=0.9)
    assert v["dW1"].item() == pytest.approx(0.9 * 0.05 + 0.1 * 0.5, rel=1e-14)
    assert rolled["W1"].item() == pytest.approx(1 - 0.1 * (0.05 + 0.095), rel=1e-14)
    assert rolled["b1"].item() == pytest.approx(2 + 0.1 * (0.4 + 0.76), rel=1e-14)

    v, s = network.initialize_adam(parameters)
    rates = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-3}
    adapted, v, s = network.update_parameters_with_adam(parameters, grads, v, s, 1, **rates)
    # The corrections make the first step learning_rate g / (|g| + epsilon).
    assert adapted["W1"].item() == pytest.approx(1 - 0.1 * 0.5 / 0.501, rel=1e-13)
    assert adapted["b1"].item() == pytest.approx(2 + 0.1 * 4 / 4.001, rel=1e-13)
    second = {"dW1": np.array([[-1.0]]), "db1": np.array([[0.0]])}
    adapted, v, s = network.update_parameters_with_adam(adapted, second, v, s, 2, **rates)
    mean = (0.9 * 0.05 - 0.1) / (1 - 0.81)
    spread = math.sqrt((0.99 * 0.0025 + 0.01) / (1 - 0.9801))
    expected = 1 - 0.1 * 0.5 / 0.501 - 0.1 * mean / (spread + 1e-3)
    assert adapted["W1"].item() == pytest.approx(expected, rel=1e-12)


def test_mini_batches_have_every_example_once_with_its_label() -> None:
    X = np.arange(10.0)[np.newaxis]
    batches = network.random_mini_batches(X, 2 * X, 4, seed=0)
    assert [x.shape[1] for x, _ in batches] == [4, 4, 2]
    assert all(np.array_equal(2 * x, y) for x, y in batches)
    order = np.concatenate([x[0] for x, _ in batches])
    assert sorted(order) == X[0].tolist() != order.tolist()
    again = network.random_mini_batches(X, 2 * X, 4, seed=0)
    assert np.array_equal(order, np.concatenate([x[0] for x, _ in again]))


def test_the_split_has_every_example_once() -> None:
    X = np.arange(20.0)[np.newaxis]
    sets = network.split_examples(X, -X, seed=0, dev=0.25, test=0.1)
    assert {name: x.shape[1] for name, (x, _) in sets.items()} == {"dev": 5, "test": 2, "train": 13}
    assert sorted(np.concatenate([x[0] for x, _ in sets.values()])) == X[0].tolist()
    assert all(np.array_equal(x, -y) for x, y in sets.values())


def test_training_is_reproducible_bit_for_bit() -> None:
    X, Y = network.load_digits()
    runs = [
        network.train(X[:, :300], Y[:, :300], (64, 10, 10), seed=seed, epochs=3, keep_prob=0.9, lambd=0.1)
        for seed in (0, 0, 1)
    ]
    first, again, other = ({name: p.tobytes() for name, p in run.parameters.items()} for run in runs)
    assert first == again
    assert runs[0].costs == runs[1].costs
    assert first["W1"] != other["W1"]


@pytest.mark.parametrize(("optimizer", "rate"), [("gd", 0.3), ("momentum", 0.3), ("adam", 5e-3)])
def test_training_reads_held_out_digits(optimizer: OptimizerName, rate: float) -> None:
    X, Y = network.load_digits()
    kept = network.split_examples(X, Y, seed=0, dev=0, test=0.2)
    result = network.train(*kept["train"], (64, 24, 10), seed=0, epochs=15, optimizer=optimizer, learning_rate=rate)
    held_out = network.accuracy(result.parameters, *kept["test"])
    assert held_out > 0.9
    untrained = network.initialize_parameters((64, 24, 10), seed=0)
    assert network.accuracy(untrained, *kept["test"]) < 0.4
    assert result.costs[-1] < 0.3 * result.costs[0]
    assert result.dev_error < 0.1
    assert math.isnan(result.test_error)


@pytest.mark.parametrize(("hidden", "output"), list(product(HIDDENS, OUTPUTS)))
def test_one_epoch_on_one_batch_is_one_step_down_the_regularised_cost(hidden: Hidden, output: Output) -> None:
    X, Y = examples()
    start = trained_looking()
    options: dict[str, Any] = {"lambd": 0.7, "hidden": hidden, "output": output}
    settings: dict[str, Any] = {"optimizer": "gd", "learning_rate": 0.1, "dev": 0.0, "parameters": start}
    result = network.train(X, Y, DIMS, seed=0, epochs=1, **options, **settings)
    expected = network.update_parameters(start, network.gradients(start, X, Y, **options), 0.1)
    assert result.costs[0] == pytest.approx(float(network.cost(start, X, Y, **options)), rel=1e-13)
    for name, p in expected.items():
        np.testing.assert_allclose(result.parameters[name], p, rtol=1e-12, atol=1e-14)


def test_dropout_in_training_changes_the_steps_but_not_the_start() -> None:
    X, Y = examples(m=40)
    starts = [network.train(X, Y, DIMS, seed=0, epochs=0, keep_prob=keep_prob) for keep_prob in (1.0, 0.5)]
    ends = [network.train(X, Y, DIMS, seed=0, epochs=1, keep_prob=keep_prob) for keep_prob in (1.0, 0.5)]
    assert np.array_equal(starts[0].parameters["W1"], starts[1].parameters["W1"])
    assert starts[0].dev_error == starts[1].dev_error
    assert not np.array_equal(ends[0].parameters["W1"], ends[1].parameters["W1"])


def test_training_goes_on_from_given_parameters_in_their_type() -> None:
    X, Y = network.load_digits()
    X, Y = X[:, :200].astype(np.float32), Y[:, :200]
    short = network.train(X, Y, (64, 8, 10), seed=0, epochs=4)
    longer = network.train(X, Y, (64, 8, 10), seed=0, epochs=4, parameters=short.parameters)
    assert longer.costs[0] < short.costs[-1]
    assert {p.dtype for p in longer.parameters.values()} == {np.dtype(np.float32)}
    none = network.train(X, Y, (64, 8, 10), seed=0, epochs=0, parameters=short.parameters)
    assert none.costs == ()
    assert all(np.array_equal(none.parameters[name], p) for name, p in short.parameters.items())


@pytest.mark.parametrize(
    ("train_error", "dev_error", "target_error", "dominates"),
    [
        (0.15, 0.16, 0.0, "bias"),
        (0.15, 0.16, 0.145, "neither"),
        (0.01, 0.11, 0.0, "variance"),
        (0.15, 0.40, 0.0, "variance"),
        (0.005, 0.01, 0.0, "neither"),
        (0.15, math.nan, 0.0, "unknown"),
    ],
)
def test_bias_and_variance_are_told_apart(
    train_error: float, dev_error: float, target_error: float, dominates: str
) -> None:
    result = network.Training({}, (), train_error, dev_error, math.nan, target_error)
    assert result.dominates == dominates
    assert "test error" not in str(result)
    assert ("dev error" in str(result)) == (dominates != "unknown")


def test_an_overfitted_network_is_said_to_have_variance_and_a_tiny_one_bias() -> None:
    X, Y = network.load_digits()
    few = network.train(X[:, :120], Y[:, :120], (64, 40, 10), seed=0, epochs=60, dev=0.5, learning_rate=0.01)
    assert few.dominates == "variance"
    tiny = network.train(X[:, :600], Y[:, :600], (64, 1, 10), seed=0, epochs=10)
    assert tiny.dominates == "bias"


def test_predictions_of_both_outputs() -> None:
    X, Y = examples()
    parameters = trained_looking()
    AL, _ = network.forward_propagation(X, parameters)
    classes = network.predict(parameters, X)
    assert classes.tolist() == [int(np.argmax(column)) for column in AL.T]
    assert network.accuracy(parameters, X, (classes == np.arange(3)[:, None]).astype(float)) == 1.0
    bits = network.predict(parameters, X, output="sigmoid")
    assert bits.shape == Y.shape
    assert network.accuracy(parameters, X, bits, output="sigmoid") == 1.0
    assert network.accuracy(parameters, X, 1 - bits, output="sigmoid") == 0.0


def test_the_digits_are_those_of_scikit_learn() -> None:
    X, Y = network.load_digits()
    assert (X.shape, Y.shape) == ((64, 1797), (10, 1797))
    assert {X.dtype, Y.dtype} == {np.dtype(np.float64)}
    assert (X.min(), X.max()) == (0, 1)
    assert np.array_equal(Y.sum(axis=0), np.ones(1797))
    pixels, labels = (X.T * 16).astype(np.uint8), np.argmax(Y, axis=0).astype(np.uint8)
    # sha256 of load_digits().data and .target as bytes, one after the other.
    expected = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    assert hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest() == expected


X3, Y3 = examples(m=3)
# A string from a configuration file is of no literal type.
UNKNOWN: Any = "gelu"
GOOD = trained_looking()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: network.cost({**GOOD, "b2": np.zeros(3)}, X3, Y3), r"b2 should be of shape \(3, 1\)"),
        (lambda: network.cost(GOOD, X3[:4], Y3), r"W1 should be of shape \(4, 4\), but is of shape \(4, 5\)"),
        (lambda: network.cost(GOOD, X3[:, 0], Y3), "X should be a matrix"),
        (lambda: network.cost(GOOD, X3, Y3[:1]), r"Y should be of shape \(3, 3\), but is of shape \(1, 3\)"),
        (lambda: network.gradients(GOOD, X3, Y3[:1]), r"Y should be of shape \(3, 3\)"),
        (lambda: network.cost({"W1": X3}, X3, Y3), "W1, b1, ..., WL, bL, but is W1"),
        (lambda: network.cost({}, X3, Y3), "but is empty"),
        (lambda: network.cost(GOOD, X3, Y3, keep_prob=0.5), "rng should be given"),
        (lambda: network.cost(GOOD, X3, Y3, keep_prob=0.0), "keep_prob should be above 0"),
        (lambda: network.cost(GOOD, X3, Y3, keep_prob=1.5, rng=0), "keep_prob should be above 0"),
        (lambda: network.cost(GOOD, X3, Y3, hidden=UNKNOWN), "hidden should be one of 'relu', 'sigmoid', 'tanh'"),
        (lambda: network.cost(GOOD, X3, Y3, output=UNKNOWN), "output should be one of 'sigmoid', 'softmax'"),
        (lambda: network.initialize_parameters((3,), seed=0), "layer_dims should be two or more"),
        (lambda: network.initialize_parameters((3, 0), seed=0), "layer_dims should be two or more"),
        (lambda: network.initialize_parameters((3, 2), seed=0, method=UNKNOWN), "method should be one of"),
        (lambda: network.random_mini_batches(X3, Y3, 0, seed=0), "mini_batch_size should be at least 1"),
        (lambda: network.random_mini_batches(X3, Y3[:, :2], seed=0), r"Y should be of shape \(3, 3\)"),
        (lambda: network.split_examples(X3, Y3, seed=0, dev=0.5, test=0.5), "Leave examples to train on"),
        (lambda: network.split_examples(X3[:, :0], Y3[:, :0], seed=0), "X should be a matrix with at least one column"),
        (lambda: network.update_parameters_with_adam(GOOD, {}, {}, {}, 0), "t should be at least 1"),
        (lambda: network.train(X3, Y3, DIMS, seed=0, optimizer=UNKNOWN), "optimizer should be one of"),
        (lambda: network.train(X3, Y3, DIMS, seed=0, epochs=-1), "epochs should be at least 0"),
        (lambda: network.train(X3, Y3, (4, 3), seed=0), r"X should be of shape \(4, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_demanded(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert str(caught.value).startswith("While ")


def test_public_names_are_sorted_and_there() -> None:
    assert network.__all__ == sorted(network.__all__)
    assert all(hasattr(network, name) for name in network.__all__)
    assert all(getattr(network, name).__doc__ for name in network.__all__)
