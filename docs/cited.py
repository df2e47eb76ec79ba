"""Numbers in sentences that name their record: `F1 72.9<!-- lora-0 metrics.reported.f1 -->`.

The name is a run of the main published study, or `STUDY/RUN`; then a field of its record, or one that follows from the
records:

- `lora-0 interval.low`, `interval.high`: of F1; `lora-0 minus.full-0`: in F1, also `minus.STUDY/RUN`;
- `lora-0 loss.last`: of the training;
- `lora-0 answers.boundary`, `lora-0 answers.too-long`: how many are of that kind;
- `sweep lora.0.001`: F1 on the selection split with that learning rate.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from results_page import MAIN, study

from spantune.reports.write_report import Report
from spantune.runs import RunRecord
from spantune.scoring.statistics import Standing

_VALUE = re.compile(r"(?P<shown>[+−-]?\d[\d,]*(?:\.\d+)?)<!-- (?P<run>[\w./-]+) (?P<field>[\w./-]+) -->")


def values(text: str) -> list[tuple[str, str, str]]:
    """The numbers of a text that name their record: as shown, as the record has them in as many digits, and where.

    Raises:
        KeyError: there is no such run or field.
    """
    return [
        (one["shown"], _as_shown(_value(one["run"], one["field"]), one["shown"]), f"{one['run']} {one['field']}")
        for one in _VALUE.finditer(text)
    ]


class _Run(NamedTuple):
    """A run of a published study."""

    report: Report
    number: int

    @classmethod
    def named(cls, name: str) -> _Run:
        place, _, run = name.rpartition("/")
        report = study(place or MAIN)
        return cls(report, {folder.path.name: number for number, folder in enumerate(report.folders)}[run])

    @property
    def record(self) -> RunRecord:
        return self.report.records[self.number]

    @property
    def label(self) -> str:
        """Of the method in the table."""
        groups = self.report.table.groups
        return next(one.label for one in groups if any(each is self.record for each in one.runs))

    @property
    def standing(self) -> Standing:
        return self.report.table.standings[self.label]

    def answers(self, kind: str) -> float:
        evidence = self.report.evidence
        assert evidence is not None
        (counts,) = (one for one in evidence.counts if one.method == self.label)
        return {**counts.kinds, **counts.faults}[kind]  # type: ignore[dict-item]

    def last_loss(self) -> float:
        return [row["loss"] for row in self.report.histories[self.number] if "loss" in row][-1]


def _value(name: str, field: str) -> Any:
    kind, _, rest = field.partition(".")
    place, _, last = name.rpartition("/")
    if last == "sweep":
        return _swept(study(place or MAIN), kind, float(rest))
    run = _Run.named(name)
    if kind == "interval":
        return getattr(run.standing.f1.interval, rest)
    if kind == "minus":
        return run.standing.f1.mean - _Run.named(rest).standing.f1.mean
    if field == "loss.last":
        return run.last_loss()
    if kind == "answers":
        return run.answers(rest.replace("-", " "))
    found: Any = run.record.to_json()
    for key in field.split("."):
        found = found[key]
    return found


def _swept(report: Report, method: str, rate: float) -> float | None:
    (sweep,) = (one for one in report.sweeps if one.method == method)
    (f1,) = (trial.f1 for trial in sweep.trials if trial.values == {"learning_rate": rate})
    return f1


def _as_shown(value: float, shown: str) -> str:
    digits = len(shown.partition(".")[2])
    text = f"{value:,.{digits}f}" if "," in shown else f"{value:.{digits}f}"
    text = text.replace("-", "−") if "−" in shown else text
    return f"+{text}" if shown.startswith("+") and value >= 0 else text
