"""``gradproof demo``: the workflow of the course notes on real data, from forward propagation to a trained network.

The decision behind it: every step states what must come out of it and is held to that, so the walk is a test of the
installation as well, and what it prints was computed while it was printed.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from gradproof import network
from gradproof._check import check
from gradproof._cli.run import working
from gradproof._errors import CheckDuringTraining
from gradproof._guard import training
from gradproof._records import Report, StagesReport, Verdict
from gradproof._report import text, wording
from gradproof._report.outline import answered, outline
from gradproof._report.stages import stages_table
from gradproof._stages import Stages

if TYPE_CHECKING:
    from rich.console import RenderableType

Array = NDArray[Any]
Parameters = dict[str, Array]

SEED = 3
#: tanh has no kinks, so nothing but the planted bug can be in the way.
OPTIONS: Mapping[str, Any] = {"lambd": 0.7, "hidden": "tanh"}
KEEP_PROB = 0.9
#: The error that people make on such digits; the notes' human-level error.
HUMAN = 0.01
STEPS = 8


@dataclass(frozen=True)
class Size:
    """How long the walk is.

    Attributes:
        layers: n_0, n_1, ..., n_L.
        checkpoints: steps of training at which the gradient is checked.
        epochs: passes over the training examples at the end.
        loop: whether the course notes' loop is run beside.
    """

    layers: tuple[int, ...]
    checkpoints: tuple[int, ...]
    epochs: int
    loop: bool


FULL = Size((64, 25, 16, 10), (0, 100, 300), 30, True)
FAST = Size((64, 12, 10), (0, 50), 4, False)
EXAMPLES = 64


@dataclass(frozen=True)
class Scenery:
    """What all steps share."""

    size: Size
    sets: Mapping[str, tuple[Array, Array]]
    parameters: Parameters
    err: TextIO

    @property
    def batch(self) -> tuple[Array, Array]:
        """The examples that the gradient is checked on."""
        X, Y = self.sets["train"]
        return X[:, :EXAMPLES], Y[:, :EXAMPLES]

    def checked(self, grads: Callable[..., Any], what: str, **changes: Any) -> Report:
        """The report on a gradient at initialisation."""
        options = {**OPTIONS, **changes.pop("options", {})}
        with working(self.err, what):
            return check(network.cost, self.parameters, grads, data=self.batch, options=options, **changes)


@dataclass(frozen=True)
class Outcome:
    """What a step shows, and whether it came out as it must."""

    blocks: tuple[Any, ...]
    good: bool


def without_l2(parameters: Parameters, X: Array, Y: Array, *, lambd: float, **options: Any) -> Parameters:
    """The planted bug: the cost has the L2 term, and the gradient lacks lambd/m W."""
    return dict(network.gradients(parameters, X, Y, lambd=0.0 * lambd, **options))


def walk(out: TextIO, err: TextIO, *, fast: bool = False) -> int:
    """Walks through the workflow.

    Args:
        out: where it is told.
        err: where progress goes.
        fast: the short form.

    Returns:
        The exit status: 0 where all steps came out as they must, else 1.
    """
    size = FAST if fast else FULL
    X, Y = network.load_digits()
    sets = network.split_examples(X, Y, seed=SEED, dev=0.2, test=0.0)
    scenery = Scenery(size, sets, network.initialize_parameters(size.layers, seed=SEED, method="xavier"), err)
    text.emit(out, "Gradient checking as the course notes do it, on real data.", "", _data(scenery), "")
    missed = 0
    for number, (title, step) in enumerate(_steps(), start=1):
        text.emit(out, _heading(f"{number}/{STEPS}  {title}"), "")
        outcome = step(scenery)
        text.emit(out, *(_indented(block) for block in outcome.blocks), "")
        out.flush()
        missed += not outcome.good
    conclusion = f"{missed} of {STEPS} steps did not come out as they must." if missed else "All came out as they must."
    text.emit(
        out, conclusion, "The planted bugs one by one: gradproof demo bugs. Your own network: gradproof run FILE.py"
    )
    return int(missed > 0)


def _steps() -> Iterator[tuple[str, Callable[[Scenery], Outcome]]]:
    yield "Forward propagation", _forward
    yield "Backward propagation, dropout off, check at initialisation", _first_check
    yield "The check failed: look at the components", _components
    yield "Mended, checked again", _mended
    yield "Some training, and a second check", _stages
    yield "Dropout on again", _dropout
    yield "Checking off while training", _guarded
    yield "Training, and the error on examples that were held back", _trained


def _heading(title: str) -> "RenderableType":
    from rich.text import Text

    return Text(title, style="bold underline")


def _indented(block: Any) -> "RenderableType":
    from rich.padding import Padding

    return Padding(block, (0, 0, 0, 2))


def _data(scenery: Scenery) -> "RenderableType":
    size = sum(array.size for array in scenery.parameters.values())
    layers = "-".join(map(str, scenery.size.layers))
    counts = {name: pair[0].shape[1] for name, pair in scenery.sets.items()}
    return text.pairs(
        (
            ("Data", "handwritten digits, 8 x 8 pixels (Alpaydin and Kaynak 1998, doi:10.24432/C50P49)"),
            ("Split", f"{counts['train']:,} to train on, {counts['dev']:,} held back (dev), seed {SEED}"),
            (
                "Network",
                f"{layers}, {OPTIONS['hidden']}, softmax, L2 with lambd = {OPTIONS['lambd']}: {size:,} parameters",
            ),
        )
    )


def _forward(scenery: Scenery) -> Outcome:
    X, Y = scenery.batch
    AL, caches = network.forward_propagation(X, scenery.parameters, hidden=OPTIONS["hidden"])
    cost = float(network.compute_cost(caches, Y, scenery.parameters))
    rows = [
        (str(n), wording.shape(cache.W.shape), wording.shape(cache.Z.shape), cache.activation)
        for n, cache in enumerate(caches, start=1)
    ]
    guess = math.log(Y.shape[0])
    said = f"Cost {cost:.2f} on {X.shape[1]} examples; guessing among {Y.shape[0]} classes costs ln 10 = {guess:.2f}."
    table = text.table(("layer", "W", "Z", "activation"), rows, folding=())
    return Outcome((table, "", said), bool(AL.shape == Y.shape and abs(cost - guess) < 1.5))


def _first_check(scenery: Scenery) -> Outcome:
    dropping = {"keep_prob": KEEP_PROB, "rng": np.random.default_rng(SEED)}
    report = scenery.checked(without_l2, "checking at initialisation", options=dropping, dropout="off")
    content = outline(report)
    wrong = {name for name, tensor in report.tensors.items() if tensor.verdict is Verdict.WRONG}
    weights = {name for name in scenery.parameters if name.startswith("W")}
    told = [pair for finding in content.findings[:1] for pair in finding if pair[0] in ("Cause", "Fix", "Proof")]
    pattern = f"All of dW is wrong and all of db is right: {wording.names(sorted(wrong))}."
    blocks = (content.headline, "", text.pairs((("Dropout", report.notes[0]), ("Pattern", pattern), *told)))
    found = report.findings[0].cause if report.findings else ""
    off = report.checklist[1].answer.startswith("off")
    return Outcome(blocks, report.verdict is Verdict.WRONG and wrong == weights and found == "regulariser" and off)


def _components(scenery: Scenery) -> Outcome:
    report = scenery.checked(without_l2, "looking at components")
    rows = [(row.place, row.position, row.claimed, row.reference) for row in outline(report).elements[:5]]
    table = text.table(("component", "position", "backprop", "numerical"), rows, folding=(0,))
    worst = report.worst(5)
    X, Y = scenery.batch
    exact = network.gradients(scenery.parameters, X, Y, **OPTIONS)
    close = all(abs(row.reference - exact[f"d{row.name}"][row.index]) < 1e-6 for row in worst)
    return Outcome((table,), len(worst) == 5 and bool(close))


def _mended(scenery: Scenery) -> Outcome:
    report = scenery.checked(network.gradients, "checking again")
    rows = [_method("gradproof", report, str(report.verdict))]
    said: tuple[Any, ...] = (outline(report).headline, "")
    if scenery.size.loop:
        loop = scenery.checked(network.gradients, "the course notes' loop", method="classic")
        rows.append(_method("the course notes' loop", loop, wording.band(loop.difference)))
    table = text.table(("", "evaluations", "time", "difference", "answer"), rows, folding=(0,))
    return Outcome((*said, table), report.passed)


def _method(label: str, report: Report, answer: str) -> tuple[str, ...]:
    time = wording.duration(report.seconds)
    return label, f"{report.evaluations:,}", time, wording.difference(report.difference), answer


def _stages(scenery: Scenery) -> Outcome:
    stages = Stages(network.cost, network.gradients, data=scenery.batch, options=dict(OPTIONS))
    step = network.training_step(*scenery.sets["train"], seed=SEED, **OPTIONS)
    with working(scenery.err, "training and checking"):
        stages.train(step, scenery.parameters, checkpoints=scenery.size.checkpoints)
    report: StagesReport = stages.report
    said = "A bug can hide while W and b are near 0, so the same check is made again after some training."
    checklist = text.questions(answered(report.checklist))
    return Outcome((said, "", stages_table(report), "", checklist), report.passed)


def _dropout(scenery: Scenery) -> Outcome:
    dropping = {"keep_prob": KEEP_PROB, "rng": np.random.default_rng(SEED)}
    report = scenery.checked(network.gradients, "checking with one dropout pattern", options=dropping)
    said = f"With keep_prob = {KEEP_PROB} the cost is random; it is checked with one fixed pattern of dropped nodes."
    frozen = next((note for note in report.notes if "frozen" in note), "")
    rows = text.pairs((("Verdict", str(report.verdict)), ("Note", frozen)))
    return Outcome((said, "", rows), report.passed and bool(frozen))


def _guarded(scenery: Scenery) -> Outcome:
    said = "Inside `with gradproof.training():` a check costs nothing, because it is refused:"
    try:
        with training():
            scenery.checked(network.gradients, "checking while training")
    except CheckDuringTraining as refused:
        return Outcome((said, "", text.pairs((("Refused", str(refused)),))), True)
    return Outcome((said, "", "It was not refused."), False)


def _trained(scenery: Scenery) -> Outcome:
    X = np.concatenate([scenery.sets[name][0] for name in ("train", "dev")], axis=1)
    Y = np.concatenate([scenery.sets[name][1] for name in ("train", "dev")], axis=1)
    with working(scenery.err, "training"), training():
        run = network.train(
            X, Y, scenery.size.layers, seed=SEED, epochs=scenery.size.epochs, keep_prob=KEEP_PROB, learning_rate=5e-3,
            hidden="tanh", lambd=0.1, target_error=HUMAN, patience=5,
        )  # fmt: skip
    table = text.table(("epoch", "cost", "train error", "dev error", ""), list(_curve(run)), folding=())
    early = f" It ended early, with the parameters of epoch {run.best_epoch}." if run.stopped_early else ""
    ended = f"Trained for {wording.counted(len(run.costs), 'epoch')} with dropout and L2.{early}"
    read = text.pairs((("Errors", f"{run}"), ("Target", f"{HUMAN:.0%}, about what people misread")))
    return Outcome((table, "", ended, read), run.dev_error < 0.15)


def _curve(run: network.Training) -> Iterator[Sequence[str]]:
    """Some epochs of a run, the dev error as a bar."""
    last = len(run.costs)
    shown = sorted({1, 2, 4, 8, 16, 32, run.best_epoch, last} & set(range(1, last + 1)))
    for epoch in shown:
        bar = "#" * max(1, round(40 * run.dev_errors[epoch - 1]))
        errors = (run.train_errors[epoch - 1], run.dev_errors[epoch - 1])
        yield str(epoch), f"{run.costs[epoch - 1]:.3f}", *(f"{error:.1%}" for error in errors), bar
