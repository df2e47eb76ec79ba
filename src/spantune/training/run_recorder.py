"""The run sheet: keeps record.json, the history and the tracking server up to date, however the run ends."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spantune.config import TrainConfig
from spantune.config.parse import yaml_file
from spantune.errors import SpantuneError
from spantune.methods import get
from spantune.runs import History, RunFolder, RunRecord, environment, utc_now, write_text_atomic
from spantune.runs.interruption import asked, uninterrupted
from spantune.runs.record import parameters_of
from spantune.runs.redaction import command_line, without_password
from spantune.training import distributed
from spantune.training.code_version import code_version

if TYPE_CHECKING:
    from spantune.tracking.trackers import Tracker

UNADAPTED = "Unadapted"
"""The label of a run that trained nothing."""


class RunSheet:
    """One run's record while it grows.

    Args:
        config: resolved. folder: prepared. previous: the record of the run that is resumed.
        writes: whether this process is the one that writes; the others keep the record to themselves.
    """

    def __init__(
        self, config: TrainConfig, folder: RunFolder, previous: RunRecord | None, *, writes: bool = True
    ) -> None:
        method = get(config.method)
        self.config, self.folder, self.writes = config, folder, writes
        self.history = History(folder.history)
        self.trackers: tuple[Tracker, ...] = ()
        self._began = time.perf_counter()
        self._earlier = previous.timings.wall_seconds or 0.0 if previous else 0.0
        self.record = RunRecord(
            status="running",
            method=method.name,
            label=UNADAPTED if method.adds_nothing and not config.epochs and not config.start_from else method.label,
            model=config.model,
            seed=config.seed,
            command=command_line(),
            config=_settings(config),
            options=dict(config.options),
            versions=environment.versions(),
            hardware=environment.hardware(),
            git=environment.git_state(),
            code=code_version(config.method),
            started_at=previous.started_at if previous else utc_now(),
            resumed=previous.resumed + 1 if previous else 0,
        )

    def open(self) -> None:
        """Write the record for the first time, and the configuration."""
        self.update()
        if not self.writes:
            return
        write_text_atomic(self.folder.config, yaml_file.write(_as_yaml(self.config)))

    def update(self, **changes: Any) -> None:
        """Change fields of the record and write it."""
        self.record = replace(self.record, **changes)
        if self.writes:
            self.record.write(self.folder.path)

    def start_tracking(self) -> None:
        """Start the trackers that the configuration switches on."""
        if not self.writes or not self.config.mlflow:
            return
        from spantune.tracking.trackers import trackers_of  # not before: the room may be deleted

        self.trackers = trackers_of(self.config)
        for tracker in self.trackers:
            tracker.start(parameters_of(self.record))

    def journal(self, step: int, epoch: float, metrics: dict[str, float]) -> None:
        """Add one moment's metrics to the history and to the trackers."""
        self.history.append(step=step, epoch=epoch, **metrics)
        for tracker in self.trackers:
            tracker.log_metrics(metrics, step)

    def close(self, status: Any, reason: str | None = None) -> None:
        """Write the final state of a run, good or bad, and send it to the trackers."""
        wall = self._earlier + time.perf_counter() - self._began
        self.update(
            status=status,
            reason=reason,
            timings=replace(self.record.timings, wall_seconds=wall),
            peak_memory_bytes=environment.peak_memory_bytes(),
            peak_gpu_memory_bytes=environment.peak_gpu_memory_bytes(),
            hardware=environment.hardware(),
            finished_at=utc_now(),
        )
        for tracker in self.trackers:
            tracker.finish(status, reason)
        if problems := tuple(f"not tracked: {tracker.problem}" for tracker in self.trackers if tracker.problem):
            self.update(notes=(*self.record.notes, *problems))


@contextmanager
def run_sheet(config: TrainConfig, folder: RunFolder, previous: RunRecord | None) -> Iterator[RunSheet]:
    """A sheet that is closed as interrupted or failed, with the reason, when the block ends in an exception."""
    sheet = RunSheet(config, folder, previous, writes=distributed.rank() == 0)
    try:
        sheet.open()
        yield sheet
    except BaseException as error:
        with uninterrupted():
            if sheet.record.status == "finished":
                pass  # it happened while the run was mirrored; the run itself is whole
            elif isinstance(error, KeyboardInterrupt) or asked() is not None:
                reason = "stopped by the user or the system; --resume continues from the last checkpoint"
                sheet.close("interrupted", reason)
            else:
                sheet.close("failed", reason_of(error))
        raise


def reason_of(error: BaseException) -> str:
    """Why a run failed: our own message, or the last line of a traceback."""
    return str(error) if isinstance(error, SpantuneError) else traceback.format_exception_only(error)[-1].strip()


def _settings(config: TrainConfig) -> dict[str, Any]:
    """All settings under their keys; a tracking server's password stays out of what is written down."""
    uri = config.tracking_uri
    return {**config.as_dict(), "tracking_uri": without_password(uri) if uri else uri}


def _as_yaml(config: TrainConfig) -> dict[str, Any]:
    """The configuration as `spantune train --config` reads it: without what belongs to one call only."""
    content = _settings(config)
    options = content.pop("options")
    for key in ("resume", "overwrite"):
        content.pop(key)
    return {**content, config.method: options} if options else content
