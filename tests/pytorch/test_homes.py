"""Displacing tensors where they are, and getting every bit back."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from gradproof._adapters.pytorch.draws import normals, seed_of
from gradproof._adapters.pytorch.homes import BITS, Copies, InPlace, Move
from gradproof._adapters.pytorch.shards import Alone, Shard, shard_of
from gradproof._errors import InputError

FORMATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128]


def bits(tensor: Any) -> Any:
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.contiguous().view(BITS[real.dtype]).clone()


def awkward(dtype: torch.dtype) -> Any:
    """Numbers of all sizes, zeros of both signs, one that is not finite."""
    torch.manual_seed(5)
    values = torch.randn(120, 700).to(dtype)
    values[0, :50] = 0.0
    values[1, :50] *= 1e-4
    values[2] = -values[2] * 0.0
    values[3, 0] = float("inf")
    return values


@pytest.mark.parametrize("step", [1e-9, 1e-5, 1e-2, 10.0])
@pytest.mark.parametrize("turned", [False, True], ids=["plain", "turned"])
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_every_bit_comes_back(dtype: torch.dtype, turned: bool, step: float) -> None:
    tensor = awkward(dtype).t() if turned else awkward(dtype)
    before, shard = bits(tensor), shard_of(tensor, "w", Alone())
    home = InPlace([tensor], ["w"], aliases=True)
    moved: list[float] = []

    def moves() -> Iterator[Move]:
        for chunk in shard.chunks():
            amount = normals([3], (0, *chunk.key), chunk.drawn, tensor.device)[chunk.skip :][: chunk.high - chunk.low]
            yield Move(0, chunk, [0.01 * amount, step * amount])

    def seen(_i: int, _c: Any, _a: Any, was: Any, now: Any) -> None:
        moved.append(float((now - was)[torch.isfinite(was)].abs().max()))

    with home.displaced(moves, seen):
        coarse = dtype in (torch.float16, torch.bfloat16)
        assert coarse or not torch.equal(bits(tensor), before)
    assert torch.equal(bits(tensor), before)
    assert max(moved) > 0.0 or step < 1e-4


def test_what_interrupts_a_call_leaves_every_bit() -> None:
    tensor = awkward(torch.float64)
    before, shard = bits(tensor), shard_of(tensor, "w", Alone())
    calls: list[int] = []

    def moves() -> Iterator[Move]:
        for chunk in shard.chunks():
            calls.append(0)
            if len(calls) == 2:
                raise KeyboardInterrupt
            yield Move(0, chunk, [torch.ones(chunk.high - chunk.low, dtype=torch.float64)])

    with pytest.raises(KeyboardInterrupt), InPlace([tensor], ["w"], aliases=True).displaced(moves, lambda *_: None):
        pass
    assert torch.equal(bits(tensor), before)


def test_amounts_that_depend_on_where_the_tensor_is() -> None:
    tensor = awkward(torch.float64)
    before, shard = bits(tensor), shard_of(tensor, "w", Alone())
    home = InPlace([tensor], ["w"], aliases=True)

    def moves() -> Iterator[Move]:
        for chunk in shard.chunks():
            here = home.base(0, chunk)
            yield Move(0, chunk, [torch.where(torch.isfinite(here), here.abs(), 0.0)], again=False)

    with home.displaced(moves, lambda *_: None):
        pass
    assert torch.equal(bits(tensor), before)


@pytest.mark.parametrize("home", [InPlace, Copies])
def test_a_cost_that_writes_to_its_parameters_is_refused(home: Any) -> None:
    tensor = torch.ones(5)
    made = home([tensor], ["w"], aliases=True) if home is InPlace else home([tensor], ["w"])
    with pytest.raises(InputError, match="early update"), made.displaced(lambda: iter(()), lambda *_: None):
        made.tensors[0].add_(1.0)


def test_copies_start_from_what_the_tensors_are() -> None:
    tensor = awkward(torch.float32)[:3]
    home, shard = Copies([tensor], ["w"]), shard_of(tensor, "w", Alone())
    first = home.tensors[0].clone()

    def moves() -> Iterator[Move]:
        for chunk in shard.chunks():
            yield Move(0, chunk, [torch.full((chunk.high - chunk.low,), 1e-12, dtype=torch.float64)])

    with home.displaced(moves, lambda *_: None):
        assert torch.equal(home.tensors[0], first + 1e-12)
    assert torch.equal(home.tensors[0], first)


def test_shards_along_the_first_axis_draw_what_the_whole_draws() -> None:
    whole = Shard((100, 3000), (0, 0), (100, 3000))
    parts = [Shard((100, 3000), (0, 0), (37, 3000)), Shard((100, 3000), (37, 0), (63, 3000))]

    def drawn(shard: Shard) -> Any:
        return torch.cat([
            normals([7], (1, *c.key), c.drawn, torch.device("cpu"))[c.skip : c.skip + c.high - c.low]
            for c in shard.chunks()
        ])  # fmt: skip

    assert torch.equal(torch.cat([drawn(part) for part in parts]), drawn(whole))


def test_places_in_the_whole_tensor_of_a_block_in_the_middle() -> None:
    block = Shard((4, 5, 6), (1, 2, 3), (2, 2, 3))
    everything = torch.arange(120).reshape(4, 5, 6)
    places = torch.cat([block.places(chunk, torch.device("cpu")) for chunk in block.chunks()])
    assert torch.equal(places, everything[1:3, 2:4, 3:6].reshape(-1))


def test_streams_are_normal_and_unlike() -> None:
    device = torch.device("cpu")
    many = [normals([seed], (0, 0), 65536, device) for seed in range(8)]
    together = torch.cat(many)
    assert abs(float(together.mean())) < 5.0 / 724.0
    assert abs(float(together.var()) - 1.0) < 5.0 * 2.0**0.5 / 724.0
    assert float((together.abs() < 1e-3).double().mean()) == pytest.approx(7.98e-4, abs=2e-4)
    assert all(abs(float(a @ b)) < 5.0 * 256.0 for i, a in enumerate(many) for b in many[:i])
    assert len({seed_of((a, b)) for a in range(40) for b in range(40)}) == 1600
