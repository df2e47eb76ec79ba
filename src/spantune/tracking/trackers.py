"""The interface of a tracker, and which ones a configuration switches on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from spantune.config import CompareConfig, TrainConfig
from spantune.runs.record import Status


class Tracker(Protocol):
    """Follows one run or one study. No method raises an Exception: what goes wrong becomes `problem`."""

    @property
    def problem(self) -> str | None:
        """Why something is missing there, or None; it has been logged as a warning."""

    @property
    def passed_on(self) -> Mapping[str, Any]:
        """Settings of a study's runs by which they are listed below it; call `start` first."""

    def start(self, params: Mapping[str, Any]) -> None:
        """Begin, or continue where an earlier call stopped."""

    def log_metrics(self, metrics: Mapping[str, float | None], step: int) -> None:
        """Metrics of one step; None is left out."""

    def finish(self, status: Status, reason: str | None = None) -> None:
        """The final state, good or bad, with what the folder holds."""


def trackers_of(config: TrainConfig | CompareConfig) -> tuple[Tracker, ...]:
    """The trackers that the configuration of a run or a study switches on. A new tracker is added here."""
    if not config.mlflow:
        return ()
    if isinstance(config, CompareConfig):
        from spantune.tracking.mirrors import StudyMirror

        return (StudyMirror(config),)
    from spantune.tracking.mirrors import RunMirror

    return (RunMirror(config),)
