"""A batch for the tiny encoders."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "methods")]  # two_layers.py, cells.py

if TYPE_CHECKING:
    from torch import Tensor


@pytest.fixture
def inputs_of() -> Callable[[Path], dict[str, Tensor]]:
    """Three windows of up to 14 tokens, the context behind the fifth, for one of the tiny encoders."""

    def made(encoder: Path) -> dict[str, Tensor]:
        import torch

        ids = torch.randint(5, 150, (3, 14), generator=torch.Generator().manual_seed(0))
        mask = (torch.arange(14) < torch.tensor([14, 9, 11])[:, None]).long()
        inputs = {"input_ids": ids * mask, "attention_mask": mask}
        if encoder.name.startswith("bert"):
            inputs["token_type_ids"] = mask * (torch.arange(14) >= 5)
        return inputs

    return made
