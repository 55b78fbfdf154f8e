"""The callback for Lightning, in the real trainer."""

import warnings
from typing import Any

import pytest

import gradproof as gp

pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("lightning")

import torch
from lightning.pytorch import LightningModule, Trainer

from gradproof.callbacks.lightning import GradientCheck
from late import alike, data, late_model, model

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::gradproof.UndecidedWarning", "error::gradproof.CheckCostWarning"),
]


class Module(LightningModule):
    """Logs, counts its steps, and returns the loss as a mapping."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.steps = 0

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        self.steps += 1
        loss = ((self.net(x) - y) ** 2).mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return {"loss": loss}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.1)


class Manual(Module):
    """Takes its steps itself."""

    def __init__(self, net: Any) -> None:
        super().__init__(net)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx)["loss"])
        optimizer.step()


def trained(module: Any, callback: Any = None, epochs: int = 5, **settings: Any) -> Any:
    torch.manual_seed(1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=16, shuffle=True)
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[callback] if callback else [], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **settings,
    )  # fmt: skip
    trainer.fit(module, loader)
    return {**trainer.callback_metrics, "steps": module.steps, "rng": torch.get_rng_state()}


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 2}])
def test_training_goes_the_same_way_with_and_without_it(settings: Any) -> None:
    checked, plain = Module(model()), Module(model())
    callback = GradientCheck(steps=(0, 7))
    told, expected = trained(checked, callback, **settings), trained(plain, **settings)
    assert list(callback.stages) == ["initialisation", "step 7"]
    assert callback.stages.passed
    assert alike(checked.state_dict().values(), plain.state_dict().values())
    assert alike(
        [torch.as_tensor(value) for value in told.values()], [torch.as_tensor(value) for value in expected.values()]
    )
    assert "log" not in vars(checked)


def test_a_fault_that_shows_after_training_stops_it_there() -> None:
    with pytest.raises(gp.GradientError, match="step 60"):
        trained(Module(late_model()), GradientCheck(steps=(0, 60)), epochs=20)
    callback = GradientCheck(steps=(0, 60), raise_if_wrong=False)
    trained(Module(late_model()), callback, epochs=20)
    assert callback.stages["initialisation"].passed
    assert callback.stages.findings[0].regime.name == "branch"
    right = GradientCheck(steps=(0, 60))
    trained(Module(late_model(wrong=False)), right, epochs=20)
    assert right.stages.passed
    assert len(right.stages) == 2


def test_it_checks_at_first_alone_where_training_is_short() -> None:
    callback = GradientCheck()
    trained(Module(model()), callback, epochs=1)
    assert list(callback.stages) == ["initialisation"]


def test_a_module_that_takes_its_own_steps_needs_a_cost() -> None:
    with pytest.raises(gp.InputError, match="Pass cost="):
        trained(Manual(model()), GradientCheck())

    def cost(module: Any, batch: Any, batch_idx: int) -> Any:
        return ((module.net(batch[0]) - batch[1]) ** 2).mean()

    callback, checked, plain = GradientCheck(cost, steps=(0, 3)), Manual(model()), Manual(model())
    trained(checked, callback)
    trained(plain)
    assert callback.stages.passed
    assert alike(checked.state_dict().values(), plain.state_dict().values())
