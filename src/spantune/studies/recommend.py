"""`recommend`: the choice from a finished study, in prose: which method, why, what the next best would cost."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from spantune.config import RecommendConfig
from spantune.errors import RunError
from spantune.reports.judged_answers import Incomplete, read_scores
from spantune.reports.run_groups import by_rule, group, rule_language
from spantune.reports.tables import number_format
from spantune.runs import RunRecord
from spantune.scoring.statistics import compare
from spantune.studies.choice import COSTS, FIELDS, Choice, Limit, MethodCandidate, costs_against
from spantune.studies.command_lines import train_words
from spantune.studies.report import run_folders


@dataclass(frozen=True, repr=False)
class Recommendation(Choice):
    """The choice and what it rests on.

    Attributes:
        unsure: why the answers cannot be compared, if there is no `comparison`.
        left_out: runs that did not finish, with the reason.
    """

    unsure: str | None
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        return self.text()

    @property
    def command(self) -> list[str] | None:
        """The words of the command line that trains the recommended method."""
        return train_words(self.taken.record) if self.taken else None

    def text(self, quoted: Callable[[Sequence[str]], str] = shlex.join) -> str:
        """In prose, for a terminal.

        Args:
            quoted: words as they are typed into a shell; default: a POSIX one.
        """
        taken = self.taken
        if taken is None:
            return self.nothing()
        excluded = [
            f"{self._against(row, taken)}; {', '.join(f'{row.named(limit.field)} ({limit})' for limit in missed)}"
            for row, missed in self.excluded
        ]
        parts = [
            f"{taken.label}: {_described(taken)}",
            self._why(taken),
            *self._others(taken),
            *_listing("Excluded:", excluded),
            *_listing("Not considered:", self.left_out),
        ]
        return "\n\n".join([*parts, f"Train it:\n  {quoted(self.command or ())}"])

    def nothing(self) -> str:
        """The message if no candidate is within the limits."""
        nearest, missed = self.excluded[0]
        alone = [limit for limit in self.limits if not any(limit.admits(candidate) for candidate in self.candidates)]
        why = f"none keeps {_listed(self.limits)} together"
        if alone:
            why = f"{_listed(alone)} excludes all" if len(alone) == 1 else f"{_listed(alone)} each exclude all"
        needed = ", ".join(f"{nearest.shown(limit.field)} for {limit}" for limit in missed)
        return f"no method of the study is within the limits: {why}. The nearest is {nearest.label}: {needed}"

    def remedy(self) -> str:
        """What helps if no candidate is within the limits."""
        unmeasured = [cap for cap in self.limits if any(other.value(cap.field) is None for other in self.candidates)]
        if unmeasured:
            return f"measure what {_listed(unmeasured)} is about: `spantune compare` on the study again does"
        return "a wider limit, or more methods in the study"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "choice": self.taken.label if self.taken else None,
            "command": self.command,
            "best": next((candidate.label for candidate in self.admitted), None),
            "tied": [candidate.label for candidate in self.tied],
            "next_best": self.runner_up.label if self.runner_up else None,
            "pareto": [candidate.label for candidate in self.front],
            "excluded": {candidate.label: [str(limit) for limit in missed] for candidate, missed in self.excluded},
            "statistics": self.unsure or "available",
            "candidates": {row.label: {field: row.value(field) for field in FIELDS} for row in self.candidates},
            "left_out": list(self.left_out),
        }

    def _why(self, taken: MethodCandidate) -> str:
        best, number = self.admitted[0], len(self.candidates)
        within = f"{number - len(self.excluded)} of {number} methods are within the limits ({_listed(self.limits)})."
        lines = [within if self.limits else f"{number} methods, no limits."]
        if self.comparison:
            lines.append(
                f"All were scored on {self.comparison.questions:,} questions.{by_rule(self.comparison.language)}"
            )
        if best is taken:
            ties = [candidate.label for candidate in self.tied if candidate is not taken]
            lines.append(f"It has the highest F1{' of these' if self.excluded else ''}.")
            if ties:
                lines.append(f"Tied with it, and not cheaper: {', '.join(ties)}.")
        else:
            lines.append(
                f"The highest F1 has {best.label}, {best.f1.mean:.1f}, but {self._apart(best, taken)}. Of the "
                f"{len(self.tied)} methods that are tied, {taken.label} is the cheapest; {best.label} would cost: "
                f"{', '.join(costs_against(best, taken))}."
            )
        if self.unsure:
            lines.append(f"Without statistics, since {self.unsure}: only equal scores count as tied.")
        if taken.f1.unknown:
            lines.append(f"{taken.label} has {taken.f1.unknown}.")
        return " ".join(lines)

    def _others(self, taken: MethodCandidate) -> list[str]:
        """The next best, and the rest of the Pareto front."""

        def trade_off(candidate: MethodCandidate) -> str:
            return f"{self._against(candidate, taken)}; {', '.join(costs_against(candidate, taken))}"

        other = self.runner_up
        rest = [trade_off(candidate) for candidate in self.front if candidate not in (taken, other)]
        next_best = [f"The next best is {trade_off(other)}."] if other else []
        return next_best + _listing("Other trade-offs that nothing within the limits beats:", rest)

    def _against(self, candidate: MethodCandidate, taken: MethodCandidate) -> str:
        """F1 of a candidate, and the difference from that of the recommended one."""
        text = f"{candidate.label}: F1 {candidate.f1.mean:.1f} ({candidate.f1.mean - taken.f1.mean:+.1f}"
        if self.comparison is None:
            return f"{text})"
        difference = self.comparison.difference(candidate.label, taken.label)
        low, high = difference.interval.low, difference.interval.high
        if difference.first != candidate.label:
            low, high = -high, -low
        return f"{text}, 95% {low:+.1f} to {high:+.1f}{'' if difference.significant else ', tied'})"

    def _apart(self, best: MethodCandidate, taken: MethodCandidate) -> str:
        if self.comparison is None:
            return f"{taken.label} has the same"
        difference = self.comparison.difference(best.label, taken.label)
        return (
            f"{self.comparison.questions:,} questions cannot tell the two apart ({abs(difference.points):.1f} points, "
            f"p {difference.p_holm:.2g} by Holm's correction)"
        )


def recommend(config: RecommendConfig) -> Recommendation:
    """Choose from a study's finished runs, as records and answers have them.

    Raises:
        RunError: there is no study, no run of it has finished and was scored, or its runs were scored by different
            rules.
    """
    folders = run_folders(config.study)
    records = [RunRecord.read(folder.path) for folder in folders]
    rule_language(records)  # refuses several
    groups = [runs for runs in group(records) if runs.runs[0].trained]  # the floor is there to be beaten
    candidates = tuple(candidate for candidate in map(MethodCandidate.of, groups) if candidate is not None)
    if not candidates:
        raise RunError(
            "there is nothing to choose from",
            where=config.study,
            expected="a study folder with at least one finished run",
            found=f"{len(records)} runs, none finished" if records else "no run",
            fix="name the --output of a `spantune compare`",
        )
    comparison, unsure = None, None
    if len(candidates) > 1:
        by_record = {id(record): folder for record, folder in zip(records, folders, strict=True)}
        try:
            comparison = compare(read_scores(groups, by_record))
        except Incomplete as error:
            unsure = str(error)
    left_out = tuple(_unfinished(record) for record in records if record.status != "finished")
    return Recommendation(candidates, limits_of(config), comparison, unsure, left_out)


def limits_of(config: RecommendConfig) -> tuple[Limit, ...]:
    """The limits that were set."""
    keys = [field.name for field in fields(config) if field.name.startswith(("max_", "min_"))]
    return tuple(Limit(key, value) for key in keys if (value := getattr(config, key)) is not None)


def _described(candidate: MethodCandidate) -> str:
    runs = f" over {candidate.f1.n} runs" if candidate.f1.n > 1 else ""
    costs = ", ".join(map(candidate.named, COSTS))
    f1 = f"F1 {number_format.with_spread(candidate.f1)}{runs}"
    return f"{f1}, {costs}, {candidate.shown('trainable')} trainable parameters."


def _listing(title: str, lines: Sequence[str]) -> list[str]:
    return ["\n  ".join([title, *lines])] if lines else []


def _listed(limits: Sequence[Limit]) -> str:
    return ", ".join(map(str, limits))


def _unfinished(record: RunRecord) -> str:
    why = f": {record.reason.splitlines()[0]}" if record.reason else ""
    return f"{record.label}, seed {record.seed}: {record.status}{why}"
