"""`recommend`: the choice from a finished study, in prose: which method, why, what the next best would cost."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spantune.config import RecommendConfig
from spantune.errors import RunError
from spantune.reports.judged_answers import Incomplete, read_scores
from spantune.reports.run_groups import by_rule, group, rule_language
from spantune.reports.tables import number_format
from spantune.runs import RunRecord
from spantune.scoring.statistics import Comparison, Difference, compare
from spantune.studies.choice import COSTS, Choice, Limit, MethodCandidate, choose, costs_against
from spantune.studies.command_lines import train_words
from spantune.studies.report import run_folders

_FIELDS = ("f1", *COSTS, "trainable")


@dataclass(frozen=True, repr=False)
class Recommendation:
    """The choice and what it rests on.

    Attributes:
        candidates: methods with a finished run, in the table's order. limits: that were set.
        comparison: of the candidates; None where the answers cannot be compared, `unsure` then says why.
        left_out: runs that did not finish, with the reason.
    """

    candidates: tuple[MethodCandidate, ...]
    limits: tuple[Limit, ...]
    choice: Choice
    comparison: Comparison | None
    unsure: str | None
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        return self.text()

    @property
    def command(self) -> list[str] | None:
        """The words of the command line that trains the recommended method."""
        return train_words(self.choice.taken.record) if self.choice.taken else None

    def difference(self, one: MethodCandidate, other: MethodCandidate) -> Difference | None:
        """F1 of two candidates, None without statistics."""
        return self.comparison.difference(one.label, other.label) if self.comparison else None

    def text(self, quoted: Callable[[Sequence[str]], str] = shlex.join) -> str:
        """In prose, for a terminal.

        Args:
            quoted: words as one types them into a shell; default: as in a POSIX one.
        """
        taken = self.choice.taken
        if taken is None:
            return self.nothing()
        parts = [f"{taken.label}: {_described(taken)}", self._why(taken), *self._others(taken), *self._beyond(taken)]
        if self.left_out:
            parts.append("\n".join(["Not considered:", *(f"  {one}" for one in self.left_out)]))
        return "\n\n".join([*parts, f"Train it:\n  {quoted(self.command or ())}"])

    def nothing(self) -> str:
        """What to say where no candidate is within the limits."""
        nearest, missed = self.choice.excluded[0]
        alone = [one for one in self.limits if not any(one.admits(candidate) for candidate in self.candidates)]
        why = f"none keeps {_listed(self.limits)} together"
        if alone:
            why = f"{_listed(alone)} excludes all" if len(alone) == 1 else f"{_listed(alone)} each exclude all"
        needed = ", ".join(f"{nearest.shown(one.field)} for {one}" for one in missed)
        return f"no method of the study is within the limits: {why}. The nearest is {nearest.label}: {needed}"

    def remedy(self) -> str:
        """What helps where no candidate is within the limits."""
        unmeasured = [one for one in self.limits if any(other.value(one.field) is None for other in self.candidates)]
        if unmeasured:
            return f"measure what {_listed(unmeasured)} is about: `spantune compare` on the study again does"
        return "a wider limit, or more methods in the study"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        choice = self.choice
        return {
            "choice": choice.taken.label if choice.taken else None,
            "command": self.command,
            "best": choice.best.label if choice.best else None,
            "tied": [one.label for one in choice.tied],
            "next_best": choice.runner_up.label if choice.runner_up else None,
            "pareto": [one.label for one in choice.front],
            "excluded": {one.label: [str(limit) for limit in missed] for one, missed in choice.excluded},
            "statistics": self.unsure or "available",
            "candidates": {one.label: {field: one.value(field) for field in _FIELDS} for one in self.candidates},
            "left_out": list(self.left_out),
        }

    def _why(self, taken: MethodCandidate) -> str:
        best, choice = self.choice.best, self.choice
        assert best is not None
        number = len(self.candidates)
        within = f"{number - len(choice.excluded)} of {number} methods are within the limits ({_listed(self.limits)})."
        lines = [within if self.limits else f"{number} methods, no limits."]
        if self.comparison:
            lines.append(
                f"All were scored on {self.comparison.questions:,} questions.{by_rule(self.comparison.language)}"
            )
        if best is taken:
            ties = [one.label for one in choice.tied if one is not taken]
            lines.append(f"It has the highest F1{' of these' if choice.excluded else ''}.")
            if ties:
                lines.append(f"Tied with it, and not cheaper: {', '.join(ties)}.")
        else:
            lines.append(
                f"The highest F1 has {best.label}, {best.f1.mean:.1f}, but {self._apart(best, taken)}. Of the "
                f"{len(choice.tied)} methods that are tied, {taken.label} is the cheapest; {best.label} would cost: "
                f"{', '.join(costs_against(best, taken))}."
            )
        if self.unsure:
            lines.append(f"Without statistics, since {self.unsure}: only equal scores count as tied.")
        if taken.f1.unknown:
            lines.append(f"{taken.label} has {taken.f1.unknown}.")
        return " ".join(lines)

    def _others(self, taken: MethodCandidate) -> list[str]:
        """The next best, and the rest of the Pareto front."""
        lines, other = [], self.choice.runner_up
        if other is not None:
            costs = ", ".join(costs_against(other, taken))
            lines.append(f"The next best is {other.label}: {self._points(other, taken)}; {costs}.")
        front = [one for one in self.choice.front if one not in (taken, other)]
        if front:
            listed = [
                f"  {one.label}: {self._points(one, taken)}; {', '.join(costs_against(one, taken))}" for one in front
            ]
            lines.append("\n".join(["Other trade-offs that nothing within the limits beats:", *listed]))
        return lines

    def _beyond(self, taken: MethodCandidate) -> list[str]:
        """What the limits cost."""
        lines = [
            f"  {one.label}: {self._points(one, taken)}; {', '.join(_missed(one, limit) for limit in missed)}"
            for one, missed in self.choice.excluded
        ]
        return ["\n".join(["Excluded:", *lines])] if lines else []

    def _points(self, one: MethodCandidate, taken: MethodCandidate) -> str:
        points = one.f1.mean - taken.f1.mean
        found = self.difference(one, taken)
        text = f"F1 {one.f1.mean:.1f} ({points:+.1f}"
        if found is None:
            return f"{text})"
        low, high = found.interval if found.first == one.label else (-found.interval.high, -found.interval.low)
        sure = "" if found.significant else ", tied"
        return f"{text}, 95% {low:+.1f} to {high:+.1f}{sure})"

    def _apart(self, best: MethodCandidate, taken: MethodCandidate) -> str:
        found = self.difference(best, taken)
        if found is None:
            return f"{taken.label} has the same"
        assert self.comparison is not None
        return (
            f"{self.comparison.questions:,} questions cannot tell the two apart ({abs(found.points):.1f} points, "
            f"p {found.p_holm:.2g} by Holm's correction)"
        )


def recommend(config: RecommendConfig) -> Recommendation:
    """Choose from a study's finished runs, as records and answers have them.

    Raises:
        RunError: there is no study, no run of it has finished and was scored, or its runs were scored by different
            rules.
    """
    folders = run_folders(config.study)
    records = [RunRecord.read(folder.path) for folder in folders]
    rule_language(records)  # refuses different ones
    groups = [one for one in group(records) if one.runs[0].trained]  # the floor is there to be beaten
    candidates = tuple(one for one in map(MethodCandidate.of, groups) if one is not None)
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
    limits = limits_of(config)
    choice = choose(candidates, limits, comparison)
    left_out = tuple(_unfinished(record) for record in records if record.status != "finished")
    return Recommendation(candidates, limits, choice, comparison, unsure, left_out)


def limits_of(config: RecommendConfig) -> tuple[Limit, ...]:
    """The limits that were set."""
    named = (
        ("max_adapter_mb", "adapter_mb"),
        ("max_latency_ms", "latency_ms"),
        ("max_train_minutes", "train_minutes"),
        ("max_trainable", "trainable"),
        ("min_f1", "f1"),
    )
    return tuple(
        Limit("--" + key.replace("_", "-"), field, value, key.startswith("min"))
        for key, field in named
        if (value := getattr(config, key)) is not None
    )


def _described(one: MethodCandidate) -> str:
    runs = f" over {one.f1.n} runs" if one.f1.n > 1 else ""
    costs = ", ".join(f"{name} {one.shown(field)}" for field, name in COSTS.items())
    return f"F1 {number_format.with_spread(one.f1)}{runs}, {costs}, {one.shown('trainable')} trainable parameters."


def _missed(one: MethodCandidate, limit: Limit) -> str:
    names = {**COSTS, "trainable": "trainable", "f1": "F1"}
    return f"{names[limit.field]} {one.shown(limit.field)} ({limit})"


def _listed(limits: Sequence[Limit]) -> str:
    return ", ".join(map(str, limits))


def _unfinished(record: RunRecord) -> str:
    why = f": {record.reason.splitlines()[0]}" if record.reason else ""
    return f"{record.label}, seed {record.seed}: {record.status}{why}"
