"""The callback for Hugging Face's Trainer, in the real one."""

import warnings
from pathlib import Path
from typing import Any

import pytest

import gradproof as gp

pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from gradproof.callbacks.transformers import GradientCheck
from late import alike, data, late_model, model

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::gradproof.UndecidedWarning", "error::gradproof.CheckCostWarning"),
]


class Model(torch.nn.Module):
    """What the trainer asks of a model: the loss first among what it returns."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any, labels: Any) -> Any:
        out = self.net(x)
        return {"loss": ((out - labels) ** 2).mean(), "logits": out}


def trained(tmp_path: Path, net: Any, callback: Any = None, examples: Any = None, **settings: Any) -> Any:
    examples = examples or [{"x": x, "labels": y} for x, y in zip(*data(), strict=True)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=16, lr_scheduler_type="constant", report_to=[],
        save_strategy="no", logging_strategy="no", use_cpu=True, disable_tqdm=True,
        **{"max_steps": 20, "learning_rate": 0.1, **settings},
    )  # fmt: skip
    trainer = Trainer(net, arguments, train_dataset=examples, callbacks=[callback] if callback else [])
    trainer.train()
    return torch.get_rng_state()


@pytest.mark.parametrize("settings", [{}, {"gradient_accumulation_steps": 2}])
def test_training_goes_the_same_way_with_and_without_it(tmp_path: Path, settings: Any) -> None:
    checked, plain = Model(model()), Model(model())
    callback = GradientCheck(steps=(0, 7))
    states = trained(tmp_path, checked, callback, **settings), trained(tmp_path, plain, **settings)
    assert list(callback.stages) == ["initialisation", "step 7"]
    assert callback.stages.passed
    assert alike(checked.state_dict().values(), plain.state_dict().values())
    assert torch.equal(*states)
    assert not checked._forward_pre_hooks


def test_a_fault_that_shows_after_training_stops_it_there(tmp_path: Path) -> None:
    with pytest.raises(gp.GradientError, match="step 60"):
        trained(tmp_path, Model(late_model()), GradientCheck(steps=(0, 60)), max_steps=65)
    callback = GradientCheck(steps=(0, 60), raise_if_wrong=False)
    trained(tmp_path, Model(late_model()), callback, max_steps=65)
    assert callback.stages["initialisation"].passed
    assert callback.stages.findings[0].regime.name == "branch"
    right = GradientCheck(steps=(0, 60))
    trained(tmp_path, Model(late_model(wrong=False)), right, max_steps=65)
    assert right.stages.passed
    assert len(right.stages) == 2


def test_a_model_of_the_library(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(1, 40, (32, 8), generator=generator)  # 0 is the padding, whose row is not trained
    examples = [{"input_ids": row, "labels": torch.tensor(i % 2)} for i, row in enumerate(ids)]
    models = []
    callback = GradientCheck(steps=(0, 5), only=["classifier.*", "*.query.weight", "*.word_embeddings.weight"])
    for used in (callback, None):
        torch.manual_seed(0)
        models.append(BertForSequenceClassification(config))
        trained(tmp_path, models[-1], used, examples, max_steps=8, learning_rate=1e-3)
    assert len(callback.stages) == 2
    assert callback.stages.passed
    assert alike(*(one.state_dict().values() for one in models))


def test_a_model_called_by_position_is_not_checked_and_says_so() -> None:
    callback = GradientCheck()
    net = Model(model())

    class State:
        global_step = 0

    x, y = data()
    callback.on_step_begin(None, State, None, model=net)
    net(x, y)
    with pytest.warns(gp.UndecidedWarning, match="nothing was checked"):
        callback.on_pre_optimizer_step(None, State, None, model=net)
    assert not net._forward_pre_hooks
