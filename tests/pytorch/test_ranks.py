"""Models that are spread over two processes: one report, whichever of them it is asked from."""

import queue
import socket
from typing import Any

import pytest

torch = pytest.importorskip("torch")

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("PyTorch was built without gloo", allow_module_level=True)

from ranks import PATIENCE, run  # noqa: E402  # it imports what may not be there


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def together(kind: str, slip: str, dtype: Any) -> list[dict[str, Any]]:
    """The answers of both processes; no one waits for ever."""
    context = torch.multiprocessing.get_context("spawn")
    answers = context.Queue()
    port = free_port()
    processes = [context.Process(target=run, args=(rank, kind, slip, port, dtype, answers)) for rank in range(2)]
    found: dict[int, Any] = {}
    try:
        for process in processes:
            process.start()
        while len(found) < 2:
            rank, answer = answers.get(timeout=3 * PATIENCE)
            found[rank] = answer
            assert isinstance(answer, dict), answer
    except queue.Empty:
        pytest.fail(f"no answer from rank { ({0, 1} - set(found)) }")
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
    return [found[0], found[1]]


@pytest.mark.parametrize("kind", ["fsdp", "outermost", "ddp", "tensor"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_right_gradients_on_two_ranks(kind: str, dtype: Any) -> None:
    answers = together(kind, "none", dtype)
    assert answers[0] == answers[1]
    assert answers[0]["verdict"] == "correct"
    assert answers[0]["findings"] == []
    assert answers[0]["left"]
    # What DDP gathers is in the model's own format, and so is judged in that.
    assert max(answers[0]["high"].values()) < (1e-3 if kind == "ddp" and dtype is torch.float32 else 1e-7)


@pytest.mark.parametrize("kind", ["fsdp", "ddp"])
def test_a_factor_on_all_ranks(kind: str) -> None:
    answers = together(kind, "all", torch.float32)
    assert answers[0] == answers[1]
    assert [n for n, v in answers[0]["tensors"].items() if v == "wrong"] == [
        "module.2.weight" if kind == "ddp" else "2.weight"
    ]
    assert [f[:2] for f in answers[0]["findings"]] == [("factor", "factor 2")]
    assert answers[0]["left"]


def test_gradients_that_are_not_added_up() -> None:
    answers = together("none", "none", torch.float64)
    assert answers[0] == answers[1]
    assert answers[0]["verdict"] == "wrong"
    assert {f[:2] for f in answers[0]["findings"]} == {("contract", "differs on rank 1")}


def test_the_rank_whose_shard_is_wrong_is_named() -> None:
    answers = together("fsdp", "shard", torch.float64)
    assert answers[0] == answers[1]
    assert [n for n, v in answers[0]["tensors"].items() if v == "wrong"] == ["2.weight"]
    assert any("rank 1 holds" in note for note in answers[0]["notes"])
