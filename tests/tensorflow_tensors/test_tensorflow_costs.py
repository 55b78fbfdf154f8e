"""Costs of TensorFlow's tensors and variables through gp.check, gp.check_hessian and gp.Stages."""

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import gradproof as gp

SHAPES = {"W1": (6, 5), "b1": (6,), "W2": (3, 6), "b2": (3,)}


def network(name: str = "float32", seed: int = 0, *, kept: bool = False) -> tuple[dict[str, Any], Any, Any]:
    random = np.random.default_rng(seed)

    def drawn(shape: tuple[int, ...]) -> Any:
        return tf.cast(tf.constant(random.standard_normal(shape) / 2), name)

    params = {k: drawn(s) for k, s in SHAPES.items()}
    if kept:
        params = {k: tf.Variable(v, name=k) for k, v in params.items()}
    return params, drawn((9, 5)), drawn((9, 3))


def cost(p: dict[str, Any], X: Any, Y: Any) -> Any:
    hidden = tf.tanh(X @ tf.transpose(p["W1"]) + p["b1"])
    return tf.reduce_mean((hidden @ tf.transpose(p["W2"]) + p["b2"] - Y) ** 2)


def backward(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
    hidden = tf.tanh(X @ tf.transpose(p["W1"]) + p["b1"])
    delta = 2 * (hidden @ tf.transpose(p["W2"]) + p["b2"] - Y) / (Y.shape[0] * Y.shape[1])
    below = delta @ tf.convert_to_tensor(p["W2"]) * (1 - hidden**2)
    T = tf.transpose
    return {"dW1": T(below) @ X, "db1": tf.reduce_sum(below, 0), "dW2": T(delta) @ hidden,
            "db2": tf.reduce_sum(delta, 0)}  # fmt: skip


def doubled(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
    return backward(p, X, Y) | {"dW2": 2 * backward(p, X, Y)["dW2"]}


def wrong(report: Any) -> list[str]:
    return [name for name, tensor in report.tensors.items() if tensor.verdict == "wrong"]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_a_network(name: str, kept: bool) -> None:
    params, X, Y = network(name, kept=kept)
    before = {k: v.numpy().tobytes() for k, v in params.items()}
    for grads in (None, backward):
        report = gp.check(cost, params, grads, args=(X, Y))
        assert report.verdict == "correct", str(report)
        assert report.difference.high < 1e-6
        assert tuple(report.tensors) == ("W1", "b1", "W2", "b2")
    report = gp.check(cost, params, doubled, args=(X, Y))
    assert wrong(report) == ["W2"]
    assert [f.cause for f in report.findings] == ["factor"]
    assert {k: v.numpy().tobytes() for k, v in params.items()} == before


def test_lower_precision_than_single() -> None:
    for name in ("float16", "bfloat16"):
        params, X, Y = network(name)
        assert gp.check(cost, params, args=(X, Y)).verdict == "correct"
        assert wrong(gp.check(cost, params, doubled, args=(X, Y))) == ["W2"]


def test_claims_as_numbers_in_any_order_of_nesting() -> None:
    params, X, Y = network(kept=True)
    claim = backward(params, X, Y)
    assert gp.check(cost, params, claim, args=(X, Y)).verdict == "correct"
    assert gp.check(cost, params, {k: v.numpy() for k, v in claim.items()}, args=(X, Y)).verdict == "correct"
    assert gp.check(lambda ws: cost(dict(zip(SHAPES, ws, strict=True)), X, Y), list(params.values()),
                    list(claim.values())).verdict == "correct"  # fmt: skip
    assert wrong(gp.check(cost, params, claim | {"db1": -claim["db1"]}, args=(X, Y))) == ["b1"]
    missing = gp.check(cost, params, {k: v for k, v in claim.items() if k != "dW1"}, args=(X, Y))
    assert missing.verdict == "wrong"
    assert missing.findings[0].cause == "contract"


def test_a_cost_and_its_gradient_at_once() -> None:
    params, X, Y = network()

    def both(p: dict[str, Any], factor: float) -> Any:
        claim = backward(p, X, Y)
        return cost(p, X, Y), claim | {"db2": factor * claim["db2"]}

    assert gp.check(both, params, True, options={"factor": 1.0}).verdict == "correct"
    assert wrong(gp.check(both, params, True, options={"factor": 0.5})) == ["b2"]
    with_rest = gp.check(lambda p: (cost(p, X, Y), {"rest": 1}), params, has_aux=True)
    assert with_rest.verdict == "correct"


def test_variables_that_the_cost_reads_by_itself() -> None:
    params, X, Y = network(kept=True)
    assert gp.check(lambda: cost(params, X, Y), params).verdict == "correct"
    assert wrong(gp.check(lambda: cost(params, X, Y), params, lambda: doubled(params, X, Y))) == ["W2"]
    given, ignored = list(params.values()), gp.check(lambda _: cost(params, X, Y), list(params.values()))
    assert ignored.verdict == "correct", "handed over, but read from elsewhere, as models read theirs"
    assert all(v is w for v, w in zip(given, params.values(), strict=True))
    with pytest.raises(gp.InputError, match=r"tf\.Variable"):
        gp.check(lambda: tf.constant(1.0), network()[0])


def test_functions_that_are_traced_already() -> None:
    params, X, Y = network(kept=True)
    for options in ({}, {"jit_compile": False}, {"reduce_retracing": True}):
        assert gp.check(tf.function(cost, **options), params, args=(X, Y)).verdict == "correct"
    assert wrong(gp.check(tf.function(cost), params, tf.function(doubled), args=(X, Y))) == ["W2"]


def test_loops_and_branches_that_are_part_of_the_graph() -> None:
    W = tf.Variable(np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32) / 3)
    x = tf.constant(np.random.default_rng(1).standard_normal((6, 3, 4)), tf.float32)

    def rolled(W: Any) -> Any:
        state = tf.zeros((3, 4))
        for step in tf.range(6):
            state = tf.tanh(state @ W + x[step])
            if tf.reduce_sum(state) > 100.0:
                state = state * 0.5
        return tf.reduce_sum(state**2)

    def cut(W: Any) -> Any:
        """The gradient through the last step alone."""
        state = tf.zeros((3, 4))
        for step in range(5):
            state = tf.tanh(state @ W + x[step])
        with tf.GradientTape() as tape:
            tape.watch(W)
            value = tf.reduce_sum(tf.tanh(tf.stop_gradient(state) @ W + x[5]) ** 2)
        return tape.gradient(value, W)

    assert gp.check(tf.function(rolled), W).verdict == "correct"
    assert gp.check(tf.function(rolled), W, cut).verdict == "wrong"


def test_slices_are_added_up() -> None:
    table = tf.Variable(np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32))
    places = tf.constant([1, 4, 4, 0, 1, 1])

    def looked_up(table: Any) -> Any:
        return tf.reduce_sum(tf.sin(tf.gather(table, places)) ** 2)

    def claimed(table: Any) -> Any:
        with tf.GradientTape() as tape:
            value = looked_up(table)
        found = tape.gradient(value, table)
        assert isinstance(found, tf.IndexedSlices)
        return found

    assert gp.check(looked_up, table).verdict == "correct"
    assert gp.check(looked_up, table, claimed(table)).verdict == "correct"
    assert gp.check(looked_up, table, claimed).verdict == "correct"
    once = claimed(table)
    kept = tf.constant([0, 2, 3])  # the first use of each place
    single = tf.IndexedSlices(tf.gather(once.values, kept), tf.gather(once.indices, kept), once.dense_shape)
    assert gp.check(looked_up, table, single).verdict == "wrong"


@pytest.mark.parametrize("wrapped", [False, True])
def test_random_numbers_are_named_and_held(wrapped: bool) -> None:
    params, X, Y = network(kept=True)

    def dropped(p: dict[str, Any]) -> Any:
        hidden = tf.nn.dropout(tf.tanh(X @ tf.transpose(p["W1"]) + p["b1"]), 0.4)
        return tf.reduce_mean((hidden @ tf.transpose(p["W2"]) + p["b2"] - Y) ** 2)

    function = tf.function(dropped) if wrapped else dropped
    tf.random.set_seed(3)
    first = tf.random.uniform((2,)).numpy()
    tf.random.set_seed(3)
    report = gp.check(function, params)
    assert report.verdict == "correct", str(report)
    assert "RandomUniform" in " ".join(report.notes)
    assert tf.random.uniform((2,)).numpy().tobytes() == first.tobytes(), "the user's own numbers go on as they would"
    with pytest.raises(gp.InputError, match="RandomUniform"):
        gp.check(function, params, dropout="refuse")
    claim = backward(params, X, Y)
    assert gp.check(function, params, claim).verdict == "undecided", "numbers of another pattern are no claim"


def test_a_generator_of_the_users_is_held_and_left_alone() -> None:
    generator = tf.random.Generator.from_seed(5)
    w = tf.Variable(np.arange(1.0, 9.0, dtype=np.float32))

    def noisy(w: Any) -> Any:
        return tf.reduce_sum(tf.sin(w) * generator.normal(w.shape))

    before = generator.state.numpy().tobytes()
    report = gp.check(noisy, w)
    assert report.verdict == "correct", str(report)
    assert "draws random numbers" in " ".join(report.notes)
    assert generator.state.numpy().tobytes() == before


def test_what_a_cost_writes_is_not_written_into_the_users_variables() -> None:
    w, seen = tf.Variable([0.5, -0.3, 0.2]), tf.Variable(2.0)

    def averaging(w: Any) -> Any:
        seen.assign(0.9 * seen + 0.1 * tf.reduce_mean(w))
        return tf.reduce_sum(tf.exp(w))

    report = gp.check(averaging, w)
    assert report.verdict == "correct", str(report)
    assert seen.numpy() == 2.0
    through = gp.check(lambda w: averaging(w) * seen, w)
    assert through.verdict == "wrong", "a tape does not see what goes through a variable"
    assert seen.numpy() == 2.0


def test_code_that_cannot_be_traced() -> None:
    params, X, Y = network(kept=True)

    def read(p: dict[str, Any]) -> Any:
        assert np.isfinite(float(p["b1"].numpy().sum()))
        return cost(p, X, Y)

    def claimed(p: dict[str, Any], factor: float) -> Any:
        return {k: factor * v.numpy() for k, v in backward(p, X, Y).items()}

    before = {k: v.numpy().tobytes() for k, v in params.items()}
    report = gp.check(read, params, lambda p: claimed(p, 1.0))
    assert report.verdict == "correct", str(report)
    assert "cannot be traced" in " ".join(report.notes)
    assert gp.check(read, params, lambda p: claimed(p, 1.5)).verdict == "wrong"
    assert {k: v.numpy().tobytes() for k, v in params.items()} == before

    def widely(w: Any) -> Any:
        return tf.reduce_sum(tf.sin(w) ** 2) if np.isfinite(w.numpy()).all() else None

    assert gp.check(widely, tf.constant([0.1, 0.7])).difference.high < 1e-6, (
        "at float64 tensors, which it takes as well"
    )

    def stumbling(p: dict[str, Any]) -> Any:
        if float(p["b1"].numpy()[0]) != before_b1:
            raise KeyboardInterrupt
        return cost(p, X, Y)

    before_b1 = float(params["b1"].numpy()[0])
    with pytest.raises(KeyboardInterrupt):
        gp.check(stumbling, params)
    assert {k: v.numpy().tobytes() for k, v in params.items()} == before


def test_numbers_from_outside_of_tensorflow() -> None:
    w = tf.constant(np.linspace(0.1, 1.0, 5), tf.float32)

    def called(x: Any) -> Any:
        return tf.py_function(lambda v: np.sin(v.numpy()), [x], x.dtype)

    def sine(x: Any, factor: float = 1.0) -> Any:
        return called(x), lambda v: v * tf.cos(x)

    report = gp.check(lambda w: tf.reduce_sum(tf.reshape(tf.custom_gradient(sine)(w), [5])), w)
    assert report.verdict in ("correct", "undecided"), str(report)
    drawn = np.random.default_rng(0)
    assert gp.check(lambda w: tf.reduce_sum(w**2) * drawn.random(), w).verdict == "correct"


def test_methods() -> None:
    params, X, Y = network()
    report = gp.check(cost, params, doubled, args=(X, Y), method="exhaustive")
    assert wrong(report) == ["W2"]
    assert gp.check(cost, params, args=(X, Y), method="classic").difference is not None


def test_experiments_with_the_batch() -> None:
    params, X, Y = network(kept=True)

    def summed(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
        return {k: v * Y.shape[0] for k, v in backward(p, X, Y).items()}

    report = gp.check(cost, params, summed, data=(X, Y))
    assert [f.cause for f in report.findings] == ["factor"]
    assert "With every example twice it doubles" in report.findings[0].message


def test_second_derivatives() -> None:
    a = {"a": tf.constant(np.linspace(-1.0, 1.0, 5), tf.float64), "b": tf.Variable([0.3, 0.4], dtype=tf.float64)}

    def grads(p: dict[str, Any]) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = tf.reduce_sum(tf.tanh(p["a"]) ** 3) * tf.reduce_prod(tf.sin(p["b"]))
        return tape.gradient(value, p)

    assert gp.check_hessian(grads, a).verdict == "correct"

    def stopped(p: dict[str, Any]) -> Any:
        return {"a": tf.stop_gradient(p["a"]) * p["a"] ** 2, "b": p["b"] * 2}

    assert gp.check_hessian(stopped, a).verdict == "wrong"


def test_stages() -> None:
    for kept in (False, True):
        params, X, Y = network(kept=kept)
        stages = gp.Stages(cost, backward, args=(X, Y))
        stages.at("initialisation", params)
        if kept:
            for _ in range(3):
                for name, g in backward(params, X, Y).items():
                    params[name[1:]].assign_sub(0.5 * g)
            stages.at("after 3 steps", params)
        else:
            later = {k: v - 0.5 * g for (k, v), g in zip(params.items(), backward(params, X, Y).values(), strict=True)}
            stages.at("after 1 step", later)
        report = stages.report
        assert report.verdict == "correct", str(report)


def test_bad_input() -> None:
    params, X, Y = network()
    with pytest.raises(gp.InputError, match="grads"):
        gp.check(cost, params, "grad", args=(X, Y))
    with pytest.raises(gp.InputError, match="one real number"):
        gp.check(lambda p: p["W1"], params)
    with pytest.raises(gp.InputError, match="inputs"):
        gp.check_function(lambda x: x, tf.constant([1, 2]))
    with pytest.raises(gp.InputError, match="argnums"):
        gp.check_function(tf.sin, params["b1"], argnums=[3])
    with pytest.raises(gp.InputError, match=r"outside of tf\.function"):
        tf.function(lambda w: gp.check(lambda w: tf.reduce_sum(w**2), w) and w)(tf.constant([1.0, 2.0]))
    with pytest.raises(ZeroDivisionError):
        gp.check(lambda p: 1 / 0, params)


def test_nothing_is_imported_for_whoever_does_not_use_it() -> None:
    script = """
        import sys
        import numpy as np
        import gradproof as gp
        gp.check(lambda w: float((w**2).sum()), np.ones(3), np.full(3, 2.0))
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


class Course:
    """A network that keeps what its forward pass computes for the backward pass, as the course notes do."""

    def __init__(self) -> None:
        self.cache: dict[str, Any] = {}
        self.calls = 0
        self.params, self.X, self.Y = network(kept=True)

    def forward(self, p: dict[str, Any]) -> Any:
        self.calls += 1
        hidden = tf.tanh(self.X @ tf.transpose(p["W1"]) + p["b1"])
        out = hidden @ tf.transpose(p["W2"]) + p["b2"]
        self.cache = {"hidden": hidden, "out": out}
        return tf.reduce_mean((out - self.Y) ** 2)

    def backward(self, p: dict[str, Any], factor: float = 1.0) -> dict[str, Any]:
        hidden, T = self.cache["hidden"], tf.transpose
        delta = 2 * (self.cache["out"] - self.Y) / (self.Y.shape[0] * self.Y.shape[1])
        below = delta @ tf.convert_to_tensor(p["W2"]) * (1 - hidden**2)
        return {"W1": T(below) @ self.X, "b1": tf.reduce_sum(below, 0), "W2": factor * (T(delta) @ hidden),
                "b2": tf.reduce_sum(delta, 0)}  # fmt: skip


def test_what_a_forward_pass_keeps_for_the_backward_pass() -> None:
    net = Course()
    assert gp.check(net.forward, net.params, net.backward).verdict == "correct"
    assert net.calls > 20, "called as it is, and not traced once"
    assert isinstance(net.cache["hidden"].numpy(), np.ndarray), "no stand-in is left behind"
    assert wrong(gp.check(net.forward, net.params, lambda p: net.backward(p, 2.0))) == ["W2"]


@pytest.mark.parametrize("kind", ["every second call", "from the second call on", "added up", "added up in a variable"])
def test_gradients_that_remember(kind: str) -> None:
    params, X, Y = network(kept=True)
    calls, sums = [0], dict[str, Any]()
    kept = tf.Variable(tf.zeros((3, 6)))

    def claimed(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
        calls[0] += 1
        found = {k[1:]: v for k, v in backward(p, X, Y).items()}
        if kind == "added up":
            for name, value in found.items():
                sums[name] = value + sums.get(name, 0.0)
            return dict(sums)
        if kind == "added up in a variable":
            kept.assign_add(found["W2"])
            return found | {"W2": tf.identity(kept)}
        off = calls[0] % 2 == 0 if kind == "every second call" else calls[0] > 1
        return {k: (2.0 if off else 1.0) * v for k, v in found.items()}

    report = gp.check(cost, params, claimed, args=(X, Y))
    assert report.verdict == "wrong", str(report)
    named = {"not-reentrant", "nondeterministic", "accumulated", "factor", "stale"}
    assert {f.cause for f in report.findings if f.severity == "error"} <= named, str(report)


def test_variables_in_reach_of_code_that_is_called_as_it_is() -> None:
    params, X, Y = network(kept=True)
    seen = tf.Variable(0.0)

    def claimed(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
        seen.assign_add(float(p["b1"].numpy()[0]))
        return {k: v.numpy() for k, v in backward(p, X, Y).items()}

    assert gp.check(cost, params, claimed, args=(X, Y)).verdict == "correct"
    assert seen.numpy() == 0.0


ROWS = tf.constant(np.random.default_rng(5).standard_normal((6, 3)), tf.float32)
DRAWS: dict[str, Any] = {
    "RandomGamma": lambda w: tf.tanh(w) * tf.random.gamma((3,), 2.0),
    "RandomPoissonV2": lambda w: tf.tanh(w) * tf.random.poisson((3,), 2.0),
    "Multinomial": lambda w: tf.gather(tf.tanh(w), tf.random.categorical(tf.zeros((1, 3)), 5)[0]),
    "RandomShuffle": lambda w: tf.tanh(w) * tf.random.shuffle(ROWS),
    "TruncatedNormal": lambda w: tf.tanh(w) * tf.random.truncated_normal((3,)),
    "RandomStandardNormal": lambda w: tf.tanh(w) * tf.random.normal((3,)),
    "RandomUniformInt": lambda w: tf.tanh(w) * tf.cast(tf.random.uniform((3,), 0, 9, tf.int32), tf.float32),
}


@pytest.mark.parametrize("name", DRAWS)
def test_every_way_to_draw_stands_still(name: str) -> None:
    w = tf.Variable([1.0, 2.0, 3.0])
    report = gp.check(lambda w: tf.reduce_sum(DRAWS[name](w)), w)
    assert report.verdict == "correct", str(report)
    assert name in report.notes[0]
    assert report.difference.high < 1e-6, "in double precision"


def test_what_cannot_be_told_what_to_draw_is_refused() -> None:
    w = tf.Variable(np.random.default_rng(1).standard_normal((10, 3)).astype(np.float32))
    labels = tf.constant([[1], [2], [3], [4], [5], [6]], tf.int64)

    def sampled(w: Any) -> Any:
        return tf.reduce_mean(tf.nn.sampled_softmax_loss(w, tf.zeros(10), labels, ROWS, 3, 10))

    with pytest.raises(gp.InputError, match=r"CandidateSampler.*sampled_values"):
        gp.check(sampled, w)
