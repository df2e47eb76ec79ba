"""Torch's threads are shared out, and are all there again behind the work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from spantune.modeling.kernels.threads import SideBySide, threads


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    with threads(4):
        yield


@pytest.mark.parametrize(("sides", "share"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_each_side_has_its_share(sides: int, share: int) -> None:
    together = SideBySide(sides, "test")
    with together.working() as pool:
        assert torch.get_num_threads() == share
        assert list(pool.map(lambda _: torch.get_num_threads(), range(sides))) == [share] * sides
    assert torch.get_num_threads() == 4
    together.close()
    assert torch.get_num_threads() == 4


def test_work_that_fails_gives_the_threads_back() -> None:
    together = SideBySide(2, "test")
    with pytest.raises(ZeroDivisionError), together.working() as pool:
        pool.submit(lambda: 1 / 0).result()
    assert torch.get_num_threads() == 4
    together.close()
    with pytest.raises(ZeroDivisionError), threads(1):
        assert torch.get_num_threads() == 1
        _ = 1 / 0
    assert torch.get_num_threads() == 4
