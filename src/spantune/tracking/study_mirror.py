"""Mirrors a study in MLflow: one run, below which the study's runs are listed."""

from __future__ import annotations

from pathlib import Path

from spantune.config import CompareConfig
from spantune.runs.record import Status
from spantune.tracking.client import Mirror


class StudyMirror(Mirror):
    """The mirror of one study, with its record, report, tables and plots."""

    def __init__(self, config: CompareConfig) -> None:
        folder = Path(config.output)
        super().__init__("study", config, folder, folder, {"spantune": "study"})

    def _log_result(self, status: Status) -> None:
        client, run_id = self._opened()
        for pattern in ("study.json", "*.html", "*.md", "*.csv"):
            for path in sorted(self._folder.glob(pattern)):
                client.log_artifact(run_id, str(path))
        if (self._folder / "plots").is_dir():
            client.log_artifacts(run_id, str(self._folder / "plots"), "plots")
