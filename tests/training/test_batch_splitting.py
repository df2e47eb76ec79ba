"""A batch in parts, one after another or side by side, is the batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import history, same_weights
from torch import Tensor, nn

from spantune.modeling.kernels.threads import threads
from spantune.training import batch_splitting, train
from spantune.training.batch_splitting import SIDES, Gradients, side_by_side, sides, split


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    with threads(2):
        yield


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(1, 3000), st.integers(1, 5), st.booleans())
def test_parts_hold_every_window_once_and_keep_the_budget(
    lengths: list[int], max_tokens: int, at_least: int, in_order: bool
) -> None:
    lengths = sorted(lengths) if in_order else lengths
    parts = split(lengths, max_tokens=max_tokens, at_least=at_least)
    assert [row for part in parts for row in range(len(lengths))[part]] == list(range(len(lengths)))
    assert len(parts) >= min(at_least, len(lengths))
    for part in parts:
        rows = lengths[part]
        assert len(rows) == 1 or max(rows) * len(rows) <= max_tokens
    if at_least == 1:
        for one, other in pairwise(parts):  # none could have taken one more
            assert max(lengths[one.start : other.start + 1]) * (other.start + 1 - one.start) > max_tokens


@pytest.mark.parametrize(
    ("lengths", "wanted"),
    [([100] * 8, [(0, 4), (4, 8)]), ([10, 10, 10, 10, 40, 40], [(0, 4), (4, 6)]), ([7], [(0, 1)])],
)
def test_halves_cost_alike(lengths: list[int], wanted: list[tuple[int, int]]) -> None:
    assert [(part.start, part.stop) for part in split(lengths, max_tokens=10_000, at_least=2)] == wanted


class _Net(nn.Module):
    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.unused, self.frozen = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.frozen.requires_grad_(False)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen(torch.tanh(self.used(x))).square().sum()


def _loss(net: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    return lambda: net(x)


def test_side_by_side_adds_the_gradient_of_the_sum() -> None:
    net, halves = _Net(), torch.randn(2, 4, 6)
    for _ in range(2):
        net(halves.flatten(0, 1)).backward()
    wanted = [weight.grad for weight in net.used.parameters()]
    net.zero_grad()
    with side_by_side(net, torch.device("cpu")) as made:
        assert made is not None
        for _ in range(2):  # the second time to gradients that are there
            loss = made.backward([_loss(net, half) for half in halves])
    torch.testing.assert_close(loss, net(halves.flatten(0, 1)).detach())
    for weight, gradient in zip(net.used.parameters(), wanted, strict=True):
        torch.testing.assert_close(weight.grad, gradient)
    assert [weight.grad for weight in (*net.unused.parameters(), *net.frozen.parameters())] == [None] * 4


def test_sides_run_at_the_same_time_on_half_of_the_threads_and_give_them_back() -> None:
    both, counts = threading.Barrier(SIDES, timeout=20), []
    weight = nn.Parameter(torch.ones(1))

    def loss() -> Tensor:
        both.wait()  # breaks where they run one after another
        counts.append(torch.get_num_threads())
        return weight.sum()

    with side_by_side(_Net(), torch.device("cpu")) as made:
        assert made is not None
        made.weights = [weight]
        assert made.backward([loss, loss]).item() == 2
    assert counts == [1, 1]
    assert torch.get_num_threads() == 2


def test_an_error_of_one_side_is_raised() -> None:
    def broken() -> Tensor:
        raise ValueError("this side")

    net = _Net()
    with side_by_side(net, torch.device("cpu")) as made, pytest.raises(ValueError, match="this side"):
        assert made is not None
        made.backward([_loss(net, torch.randn(1, 6)), broken])


def test_not_with_random_numbers_nor_one_thread_nor_a_gpu() -> None:
    cpu = torch.device("cpu")
    assert sides(_Net(plain=nn.Dropout(0.0)), cpu) == SIDES
    assert sides(_Net(plain=nn.Dropout(0.1)), cpu) == 1
    attending = _Net()
    attending.attention_dropout = 0.1  # type: ignore[assignment]
    assert sides(attending, cpu) == 1
    by_adapter = _Net()
    by_adapter.rank_dropout = {"default": 0.1}  # type: ignore[assignment]
    assert sides(by_adapter, cpu) == 1
    by_adapter.rank_dropout = {"default": 0.0}  # type: ignore[assignment]
    assert sides(by_adapter, cpu) == SIDES
    assert sides(_Net(), torch.device("cuda")) == 1
    torch.set_num_threads(1)
    assert sides(_Net(), cpu) == 1


@pytest.mark.usefixtures("no_plots")
def test_a_run_in_parts_is_the_run(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole batches, parts by a token budget and halves side by side: the same losses, and the same again."""
    shared = {"max_train_examples": 32, "epochs": 1, "precision": "fp32"}
    made: list[int] = []
    backward = Gradients.backward
    monkeypatch.setattr(
        Gradients, "backward", lambda self, losses: (made.append(len(losses)), backward(self, losses))[1]
    )
    train(config("beside", **shared))
    assert made and set(made) == {SIDES}
    train(config("again", **shared))
    assert same_weights(tmp_path / "beside", tmp_path / "again")
    monkeypatch.setattr(batch_splitting, "sides", lambda *_: 1)
    monkeypatch.setattr("spantune.training.trainer.sides", lambda *_: 1)
    train(config("whole", **shared))
    train(config("parts", **shared, max_batch_tokens=100))
    for name in ("beside", "parts"):
        for column in ("loss", "grad_norm"):
            wanted, found = (
                [row[column] for row in history(tmp_path / run) if column in row] for run in ("whole", name)
            )
            assert found == pytest.approx(wanted, rel=1e-3, abs=1e-5), (name, column)
