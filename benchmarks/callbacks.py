"""What a callback costs at the steps at which it does not check.

The decision it rests on: the same training runs alternately with and without the callback, in one process, and what the
callback's own hooks take is timed in the runs with it. The share of these hooks in a step is a ratio of two times that
were measured right after each other, and so hardly depends on what else the machine does; the times of whole runs
beside each other show that nothing is spent elsewhere, as far as their spread allows. The first check, and with it the
counting of optimizer steps, lies before all runs. Exits with 1 where a median share is above 1%.
"""

import io
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from running import THREADS, arguments, table, write

import gradproof as gp
from gradproof.callbacks import Loop

#: The largest share of a step that a callback may take.
MOST = 0.01
#: A step that never comes.
NEVER = (10**9,)
WIDTH, BATCH = 128, 64

#: Trains once with callbacks.
Run = Callable[[Sequence[Any]], None]


def net() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh(),
        torch.nn.Linear(WIDTH, 1),
    )  # fmt: skip


def data(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH * steps, WIDTH, generator=generator)
    return x, x.sum(dim=1, keepdim=True)


def cost(model: Any, x: Any, y: Any) -> Any:
    return ((model(x) - y) ** 2).mean()


class Timed:
    """A callback's hook that adds up the time it takes."""

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook, self.seconds = hook, [0.0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the hook."""
        begin = time.perf_counter()
        found = self.hook(*args, **kwargs)
        self.seconds[0] += time.perf_counter() - begin
        return found


def by_hand(steps: int, _: Path) -> tuple[Callable[[], Any], Sequence[str], Run]:
    """A loop written by hand."""
    x, y = data(steps)

    def run(callbacks: Sequence[Any]) -> None:
        model = net()
        optimizer = torch.optim.Adam(model.parameters())
        for i in range(steps):
            rows = slice(BATCH * i, BATCH * (i + 1))
            batch = x[rows], y[rows]
            for callback in callbacks:
                callback.check_at(i, model, *batch)
            optimizer.zero_grad()
            cost(model, *batch).backward()
            optimizer.step()

    return lambda: Loop(cost, steps=NEVER), ("check_at",), run


def lightning(steps: int, _: Path) -> tuple[Callable[[], Any], Sequence[str], Run]:
    """Lightning's trainer."""
    from lightning.pytorch import LightningModule, Trainer

    from gradproof.callbacks.lightning import GradientCheck

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return cost(self.net, *batch)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    examples = torch.utils.data.TensorDataset(*data(steps))

    def run(callbacks: Sequence[Any]) -> None:
        loader = torch.utils.data.DataLoader(examples, batch_size=BATCH)
        Trainer(
            max_epochs=1, accelerator="cpu", callbacks=[*callbacks], logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        ).fit(Module(), loader)  # fmt: skip

    return lambda: GradientCheck(steps=NEVER), ("on_train_batch_start",), run


def transformers(steps: int, folder: Path) -> tuple[Callable[[], Any], Sequence[str], Run]:
    """Hugging Face's trainer."""
    from transformers import Trainer, TrainingArguments

    from gradproof.callbacks.transformers import GradientCheck

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: Any, labels: Any) -> Any:
            return {"loss": cost(self.net, x, labels)}

    examples = [{"x": x, "labels": y} for x, y in zip(*data(steps), strict=True)]
    chosen = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=BATCH, num_train_epochs=1, report_to=[],
        save_strategy="no", logging_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip

    def run(callbacks: Sequence[Any]) -> None:
        Trainer(Model(), chosen, train_dataset=examples, callbacks=[*callbacks]).train()

    return lambda: GradientCheck(steps=NEVER), ("on_step_begin", "on_pre_optimizer_step"), run


def skorch(steps: int, _: Path) -> tuple[Callable[[], Any], Sequence[str], Run]:
    """A net of skorch."""
    from skorch import NeuralNetRegressor

    from gradproof.callbacks.skorch import GradientCheck

    x, y = data(steps)

    def run(callbacks: Sequence[Any]) -> None:
        NeuralNetRegressor(
            net(), max_epochs=1, batch_size=BATCH, verbose=0, train_split=None, optimizer=torch.optim.Adam,
            callbacks=[*callbacks],
        ).fit(x, y)  # fmt: skip

    return lambda: GradientCheck(steps=NEVER), ("on_batch_begin",), run


def keras(steps: int, _: Path) -> tuple[Callable[[], Any], Sequence[str], Run]:
    """A model of Keras on PyTorch."""
    import keras as package

    from gradproof.callbacks.keras import GradientCheck

    x, y = (part.numpy() for part in data(steps))

    def run(callbacks: Sequence[Any]) -> None:
        package.utils.set_random_seed(0)
        layers = [package.layers.Dense(WIDTH, activation="tanh") for _ in range(2)]
        model = package.Sequential([package.Input((WIDTH,)), *layers, package.layers.Dense(1)])
        model.compile(optimizer="adam", loss="mse")
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, shuffle=False, callbacks=[*callbacks])

    return lambda: GradientCheck(x[:BATCH], y[:BATCH], steps=NEVER), ("on_train_batch_begin",), run


LOOPS = {
    "by hand": by_hand, "Lightning": lightning, "transformers": transformers, "skorch": skorch, "Keras": keras,
}  # fmt: skip


def measured(name: str, steps: int, repetitions: int, folder: Path) -> dict[str, Any]:
    """Medians of interleaved runs with and without the callback."""
    made, hooks, run = LOOPS[name](steps, folder)
    with redirect_stdout(io.StringIO()):
        run([made()])  # what is loaded or compiled at first
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    shares, own = [], []
    for number in range(repetitions):
        callback = made()
        timed = [Timed(getattr(callback, hook)) for hook in hooks]
        vars(callback).update(dict(zip(hooks, timed, strict=True)))
        kinds: list[tuple[str, list[Any]]] = [("with", [callback]), ("without", [])]
        for kind, callbacks in kinds if number % 2 else reversed(kinds):
            begin = time.perf_counter()
            with redirect_stdout(io.StringIO()):
                run(callbacks)
            seconds[kind].append((time.perf_counter() - begin) / steps)
        spent = sum(hook.seconds[0] for hook in timed) / steps
        own.append(spent)
        shares.append(spent / seconds["without"][-1])
    ratios = sorted(a / b - 1.0 for a, b in zip(seconds["with"], seconds["without"], strict=True))
    quarter = len(ratios) // 4
    return {
        "loop": name,
        "step_ms": 1e3 * statistics.median(seconds["without"]),
        "hooks_us": 1e6 * statistics.median(own),
        "share": statistics.median(shares),
        "run": statistics.median(ratios),
        "quartiles": [ratios[quarter], ratios[-1 - quarter]],
    }


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", choices=sorted(LOOPS), action="append", help="one kind of loop; may be repeated")
    settings = parser.parse_args()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    steps, repetitions = (100, 5) if settings.short else (300, 21)
    x, y = data(1)
    assert gp.check_module(net(), cost, args=(x, y)), "from here on, optimizer steps are counted"
    with TemporaryDirectory() as folder:
        rows = [measured(name, steps, repetitions, Path(folder)) for name in settings.only or LOOPS]
    table(
        f"Away from the checks: medians of {repetitions} runs of {steps} steps each",
        ["loop", "ms a step", "hooks, us a step", "share of a step", "run with / without", "quartiles"],
        [
            [r["loop"], r["step_ms"], r["hooks_us"], f"{r['share']:.3%}", f"{r['run']:+.2%}",
             " to ".join(f"{q:+.1%}" for q in r["quartiles"])]
            for r in rows
        ],
    )  # fmt: skip
    write(settings.json, "callbacks", settings, {"rows": rows})
    return int(any(row["share"] > MOST for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
