"""For tests of studies: executors that train in this process, or only write records of made-up runs."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tiny import ANSWERING

from spantune.config import CompareConfig, TrainConfig
from spantune.methods import get
from spantune.runs import DataRecord, RunRecord, Timings, write_json_atomic
from spantune.runs.manifest import MANIFEST, Manifest
from spantune.studies.worker_process import Outcome
from spantune.training.code_version import code_version
from spantune.training.run_settings import resolve


class Job(NamedTuple):
    name: str
    config: TrainConfig


class StandIn:
    """Carries a run out when it is waited for. `ran`: the jobs in their order. `ends`: instead of running, by name."""

    def __init__(self, workers: int = 1, ends: Mapping[str, Outcome | BaseException] | None = None) -> None:
        self.workers, self.ends = workers, dict(ends or {})
        self.ran: list[Job] = []
        self.most = 0
        self.closed = False
        self._under_way: list[Job] = []

    @property
    def names(self) -> list[str]:
        return [job.name for job in self.ran]

    def submit(self, name: str, config: TrainConfig) -> None:
        self._under_way.append(Job(name, config))
        self.most = max(self.most, len(self._under_way))
        assert self.most <= self.workers

    def wait(self) -> tuple[str, Outcome]:
        job = self._under_way.pop(0)
        self.ran.append(job)
        end = self.ends.get(job.name)
        if isinstance(end, BaseException):
            raise end
        return job.name, end or self.carry_out(job.config)

    def close(self) -> None:
        self.closed = True

    def carry_out(self, config: TrainConfig) -> Outcome:
        raise NotImplementedError


class InProcess(StandIn):
    """Trains."""

    def carry_out(self, config: TrainConfig) -> Outcome:
        from spantune.training import train

        train(config)
        return Outcome()


class Pretend(StandIn):
    """Writes the record of a run that scored what `f1` says of its configuration; a `str` is why it failed.

    It learns ten examples and answers a hundred questions in a second, and begins within two.
    """

    def __init__(self, f1: Callable[[TrainConfig], float | str] | None = None, **named: Any) -> None:
        super().__init__(**named)
        self.f1 = f1 or (lambda config: 50.0)

    def carry_out(self, config: TrainConfig) -> Outcome:
        config = resolve(config)
        scored = self.f1(config)
        record = made_up(config, scored if isinstance(scored, float) else 0.0)
        if isinstance(scored, str):
            record = replace(record, status="failed", reason=scored, metrics={})
        folder = Path(config.output)
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        described = Manifest(config.method, dict(config.options), config.model, "bert", "0", ANSWERING)
        write_json_atomic(folder / "adapter" / MANIFEST, described.to_json())
        for name in ("history.jsonl", "predictions.json", "adapter/adapter_model.safetensors"):
            (folder / name).touch()
        (folder / "adapter" / "model.safetensors").touch()
        record.write(folder)
        return Outcome(scored) if isinstance(scored, str) else Outcome()


def made_up(config: TrainConfig, f1: float) -> RunRecord:
    """A finished run, as `Pretend` carries it out."""
    from spantune.data import load_splits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        splits = load_splits(config, config.seed)
    sets = {"train": splits.train, "selection": splits.selection, "reported": splits.reported}
    there = {name: corpus for name, corpus in sets.items() if corpus is not None}
    sizes = {name: len(corpus.examples) for name, corpus in there.items()}
    learned = sizes["train"] * config.epochs / 10
    asked = sizes["selection"] * (max(1, round(config.epochs * config.evals_per_epoch)) + 1) + sizes.get("reported", 0)
    method = get(config.method)
    return RunRecord(
        "finished",
        method.name,
        method.label,
        config.model,
        config.seed,
        config=config.as_dict(),
        options=dict(config.options),
        data={name: DataRecord(config.data, corpus.fingerprint, sizes[name]) for name, corpus in there.items()},
        metrics={name: {"em": f1 / 2, "f1": f1} for name in there if name != "train"},
        timings=Timings(learned, asked / 100, learned + asked / 100 + 2, 10.0),
        code=code_version(config.method),
    )


@pytest.fixture
def study(settings: dict[str, Any], tmp_path: Path) -> Callable[..., CompareConfig]:
    """Makes the configuration of a study of two methods in `tmp_path/study`."""
    shared = {key: value for key, value in settings.items() if key not in ("method", "learning_rate")}
    shared |= {"methods": ("full", "lora"), "epochs": 1, "cost_seconds": 0, "output": str(tmp_path / "study")}
    return lambda **changes: CompareConfig(**{**shared, **changes})


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are a room of their own."""
    monkeypatch.setattr("spantune.training.run.run_plots", lambda folder: [])
    room = importlib.import_module("spantune.studies.compare")  # the function has the same name
    monkeypatch.setattr(room, "comparison_plots", lambda runs, folder: [])
    monkeypatch.setattr("spantune.reports.write_report.Report.write", lambda report: report)
