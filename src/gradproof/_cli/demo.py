"""``gradproof demo``: the network of the course notes on real data, right and with planted bugs.

The decision behind it: a scene states beforehand what must come out, so the demo is also a test of the installation: it
fails where a right gradient is not called correct or a planted bug is not found in exactly its tensors.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from gradproof import network
from gradproof._cli.run import working
from gradproof._errors import InputError
from gradproof._records import Report, Verdict
from gradproof._report import text, wording

Gradients = dict[str, NDArray[np.floating[Any]]]
Check = Callable[..., Report]

LAYERS = (64, 25, 16, 10)
EXAMPLES = 64
SEED = 3
#: tanh has no kinks, so nothing but the planted bug can be in the way.
OPTIONS: Mapping[str, Any] = {"lambd": 0.7, "hidden": "tanh"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A gradient and what must come out when it is checked.

    Attributes:
        name: what it is called on the command line.
        about: what was done to the gradient.
        gradients: the claimed gradient, as ``gradproof.network.gradients`` takes its arguments.
        wrong: the tensors that it makes wrong, all of them.
    """

    name: str
    about: str
    gradients: Callable[..., Gradients]
    wrong: frozenset[str] = frozenset()

    @property
    def verdict(self) -> Verdict:
        """What a check must say."""
        return Verdict.WRONG if self.wrong else Verdict.CORRECT

    def as_expected(self, report: Report) -> bool:
        """Whether the verdict is right and every tensor's verdict is."""
        return report.verdict is self.verdict and all(
            tensor.verdict is (Verdict.WRONG if name in self.wrong else Verdict.CORRECT)
            for name, tensor in report.tensors.items()
        )


@dataclass(frozen=True, slots=True)
class Played:
    """A scene with what the course notes' loop and gradproof said."""

    scene: Scene
    classic: Report
    report: Report

    @property
    def as_expected(self) -> bool:
        """Whether gradproof's report is what the scene demands; the course notes' number has no verdict to judge."""
        return self.scene.as_expected(self.report)


def _right(parameters: Gradients, X: Any, Y: Any, **options: Any) -> Gradients:
    return dict(network.gradients(parameters, X, Y, **options))


def _doubled(parameters: Gradients, X: Any, Y: Any, **options: Any) -> Gradients:
    grads = _right(parameters, X, Y, **options)
    return {**grads, "dW2": 2.0 * grads["dW2"]}


def _unregularised(parameters: Gradients, X: Any, Y: Any, *, lambd: float, **options: Any) -> Gradients:
    return _right(parameters, X, Y, lambd=0.0 * lambd, **options)


def _averaged(parameters: Gradients, X: Any, Y: Any, **options: Any) -> Gradients:
    grads = _right(parameters, X, Y, **options)
    return {**grads, "db1": grads["db1"] / X.shape[1]}


SCENES = (
    Scene("right", "nothing is planted", _right),
    Scene("factor", "dW2 is twice too large", _doubled, frozenset({"W2"})),
    Scene("regulariser", "the L2 term lambd/m W is missing", _unregularised, frozenset({"W1", "W2", "W3"})),
    Scene("bias-reduction", "db1 is the mean over the examples instead of the sum", _averaged, frozenset({"b1"})),
)
NAMES = tuple(scene.name for scene in SCENES)


def demo(name: str | None, out: TextIO, err: TextIO, check: Check | None = None) -> int:
    """Plays the scenes.

    Args:
        name: one scene only; all where left out.
        out: where the reports go.
        err: where progress goes.
        check: what checks a gradient; ``gradproof.check`` where left out.

    Returns:
        The exit status: 0 where all came out as it must, else 1.

    Raises:
        InputError: there is no scene of that name.
    """
    scenes = [_named(name)] if name else list(SCENES)
    if check is None:
        from gradproof._check import check as check_gradient

        check = check_gradient
    X, Y = network.load_digits()
    data = X[:, :EXAMPLES], Y[:, :EXAMPLES]
    parameters = network.initialize_parameters(LAYERS, seed=SEED)
    text.emit(out, *_opening(parameters))
    played = [_play(scene, parameters, data, check, out, err) for scene in scenes]
    text.emit(out, *_closing(played))
    return 0 if all(one.as_expected for one in played) else 1


def _named(name: str) -> Scene:
    for scene in SCENES:
        if scene.name == name:
            return scene
    near = difflib.get_close_matches(name, NAMES, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    raise InputError.of(
        "starting the demo",
        "its scene",
        f"one of {', '.join(NAMES)}",
        repr(name),
        guess + "`gradproof demo bugs` plays all.",
    )


def _opening(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    size = sum(array.size for array in parameters.values())
    layers = "-".join(map(str, LAYERS))
    rows = (
        ("Data", f"{EXAMPLES} handwritten digits, 8 x 8 pixels (Alpaydin and Kaynak 1998, doi:10.24432/C50P49)"),
        ("Network", f"{layers}, {OPTIONS['hidden']}, softmax, L2 with lambd = {OPTIONS['lambd']}: {size:,} parameters"),
    )
    return text.pairs(rows), ""


def _play(scene: Scene, parameters: Any, data: tuple[Any, Any], check: Check, out: TextIO, err: TextIO) -> Played:
    text.emit(out, f"--- {scene.name}: {scene.about} ---", "")
    reports = {}
    for method in ("auto", "classic"):
        with working(err, f"{scene.name}: checking"):
            reports[method] = check(
                network.cost, parameters, scene.gradients, method=method, args=data, options=dict(OPTIONS)
            )
    played = Played(scene, reports["classic"], reports["auto"])
    if not scene.wrong:
        text.emit(out, _beside(played.classic, played.report), "")
    text.write(played.report, out)
    text.emit(out, "")
    out.flush()
    return played


def _beside(classic: Report, ours: Report) -> Any:
    """The course notes' loop and gradproof, one a row."""
    rows = [
        (
            label,
            f"{report.evaluations:,}",
            wording.duration(report.seconds),
            wording.difference(report.difference),
            answer,
        )
        for label, report, answer in (
            ("the course notes' loop", classic, wording.band(classic.difference)),
            ("gradproof", ours, str(ours.verdict)),
        )
    ]
    return text.table(("", "evaluations", "time", "difference", "answer"), rows, folding=(0,))


def _closing(played: Sequence[Played]) -> tuple[Any, ...]:
    rows = []
    for one in played:
        report, classic = one.report, one.classic.difference
        wrong = [name for name, tensor in report.tensors.items() if tensor.verdict is Verdict.WRONG]
        number = f"{wording.difference(classic)}: {wording.band(classic)}"
        found = "yes" if one.as_expected else "NO"
        rows.append(
            (one.scene.name, str(report.verdict), ", ".join(wrong) or "none", f"{report.evaluations:,}", number, found)
        )
    missed = sum(not one.as_expected for one in played)
    header = ("scene", "verdict", "wrong", "evaluations", "course notes", "expected")
    conclusion = f"{missed} of {len(played)} did not come out as they must." if missed else "All came out as they must."
    return text.table(header, rows, folding=(0, 2)), "", conclusion
