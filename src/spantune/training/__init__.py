"""One training run: data, model, Trainer, record. `train` is loaded when it is asked for: it needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spantune.config import TrainConfig
    from spantune.runs import RunRecord


def train(config: TrainConfig, *, patience: float = 0.0) -> RunRecord:
    """Train one run; see `spantune.training.run.train`."""
    from spantune.training.run import train as run

    return run(config, patience=patience)
