"""Mirrors a run that has ended: an earlier call made it without MLflow, for another store, or under no study."""

from __future__ import annotations

from spantune.config import TrainConfig
from spantune.runs import RunFolder, RunRecord
from spantune.runs.record import parameters_of
from spantune.tracking.run_mirror import Tracking


def mirror(folder: RunFolder, record: RunRecord, *, uri: str, experiment: str, parent: str | None) -> str | None:
    """Let the run stand in MLflow below its parent: with everything in its folder where it does not stand there yet.

    Args:
        uri: of the store. experiment: a new one is put there. parent: id of the study's run.

    Returns:
        Why that did not succeed; None where it did.
    """
    config = TrainConfig(
        method=record.method,
        model=record.model,
        seed=record.seed,
        mlflow=True,
        tracking_uri=uri,
        experiment=experiment,
        parent_run=parent,
    )
    tracking = Tracking(folder, uri)
    if not tracking.adopted_by(parent):
        tracking = Tracking.start(config, folder, parameters_of(record))
        tracking.log_history()
        tracking.finish(record)
    return tracking.problem
