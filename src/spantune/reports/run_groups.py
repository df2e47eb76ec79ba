"""Runs that differ only in their seed belong together: one row of the table, one point or line of a plot."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from spantune.config import AFTERWARDS, BOOKKEEPING, ScoringConfig, rule_name
from spantune.errors import RunError
from spantune.reports.tables import number_format
from spantune.runs import RunRecord
from spantune.scoring.statistics import Estimate, estimate

_COMPARED_APART = {"method", "methods", "model", "options"}
_NO_DIFFERENCE = BOOKKEEPING | AFTERWARDS | {"seed", "seeds", "n_best"}
"""Settings that do not make two runs two kinds of run."""


@dataclass(frozen=True)
class Group:
    """The runs of one method with one encoder and one configuration, by seed."""

    label: str
    runs: tuple[RunRecord, ...]

    @property
    def method(self) -> str:
        return self.runs[0].method

    @property
    def language(self) -> str | None:
        """See `RunRecord.language`; all runs of a group have the same."""
        return self.runs[0].language

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        return tuple(run for run in self.runs if run.status == "finished")

    def metric(self, name: str) -> Estimate | None:
        """A metric over the finished runs; None if none of them has it."""
        return estimate([run.metric(name) for run in self.finished])

    def score(self, part: str, name: str) -> Estimate | None:
        """What the record keeps of a set, such as `semantic` of `reported`, over the finished runs."""
        return estimate([run.metrics.get(part, {}).get(name) for run in self.finished])

    def timing(self, name: str) -> Estimate | None:
        """A field of `Timings` over the finished runs."""
        return estimate([getattr(run.timings, name) for run in self.finished])

    @property
    def training_seconds(self) -> float | None:
        """Mean over the finished runs."""
        seconds = self.timing("train_seconds")
        return seconds.mean if seconds else None

    @property
    def latency(self) -> float | None:
        """Milliseconds for a question by itself (median), mean over the runs that measured it."""
        measured = estimate([run.serving.latency_p50_ms for run in self.finished if run.serving])
        return measured.mean if measured else None

    def parameters(self, name: str) -> Any:
        """A field of `ParameterCount`; None if no run knows it. All runs of a group have the same."""
        return next((getattr(run.parameters, name) for run in self.runs if run.parameters), None)

    def largest(self, name: str) -> int | None:
        """The largest of a field of the record over the finished runs, such as `adapter_bytes`."""
        return max((value for run in self.finished if (value := getattr(run, name)) is not None), default=None)

    @property
    def rank(self) -> float:
        """To sort by: the highest F1 first, groups without one last."""
        f1 = self.metric("f1")
        return -f1.mean if f1 else math.inf


def group(records: Sequence[RunRecord]) -> list[Group]:
    """The records by method, encoder and configuration, best F1 first; a label names what distinguishes a group."""
    members: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.seed):
        content = [record.method, record.model, _settings(record)]
        members.setdefault(json.dumps(content, sort_keys=True, default=str), []).append(record)
    labels = _labels([runs[0] for runs in members.values()])
    groups = [Group(label, tuple(runs)) for label, runs in zip(labels, members.values(), strict=True)]
    return sorted(groups, key=lambda group: (group.rank, group.label))


def rule_language(records: Sequence[RunRecord]) -> str | None:
    """The language of MLQA's rules, by which all finished runs were scored; None for the official rule.

    Raises:
        RunError: they were scored by different rules.
    """
    rules = list(dict.fromkeys(record.language for record in records if record.status == "finished"))
    if len(rules) > 1:
        raise RunError(
            "the runs were scored by different rules, so their EM and F1 do not compare",
            expected="runs of one --scoring and --language",
            found="; ".join(map(rule_name, rules)),
            fix="report them in studies of their own, or run those of one rule again with the other",
        )
    return rules[0] if rules else None


def by_rule(language: str | None) -> str:
    """A sentence after a caption that names the rule, "" for the official one."""
    return "" if language is None else f" EM and F1 are by {rule_name(language)}."


def _settings(record: RunRecord) -> dict[str, Any]:
    """What distinguishes runs of one method and encoder."""
    config = {**ScoringConfig().as_dict(), **record.config}  # older runs do not name their rule
    shared = {key: value for key, value in config.items() if key not in _NO_DIFFERENCE | _COMPARED_APART}
    return {**shared, **record.options}


def _labels(runs: Sequence[RunRecord]) -> list[str]:
    """The method; with the encoder where there are several; with the settings that differ within a method."""
    models = {run.model for run in runs}
    short = {model: PurePath(model).name or model for model in models}
    if len(set(short.values())) < len(models):
        short = {model: model for model in models}
    labels = []
    for run in runs:
        parts = [run.label or run.method, *([short[run.model]] if len(models) > 1 else [])]
        alike = (run.method, run.label, run.model)
        settings = _settings(run)
        others = [_settings(run) for run in runs if (run.method, run.label, run.model) == alike]
        parts += [
            f"{key.replace('_', ' ')} {number_format.setting(settings.get(key), ' ')}"
            for key in sorted({key for other in others for key in other})
            if any(other.get(key) != settings.get(key) for other in others)
        ]
        labels.append(", ".join(parts))
    return labels
