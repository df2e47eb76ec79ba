"""Counts, lengths and defects of a corpus, as `spantune doctor` reports them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spantune.data.checks.defects import KINDS, Defect, defects_text
from spantune.data.checks.scripts import script_note
from spantune.data.corpus import Corpus, load_corpus
from spantune.data.example import Example
from spantune.data.mixing import context_keys
from spantune.data.source import SAMPLES

AnswerCheck = Callable[[Sequence[Example]], Sequence[tuple[str, str, str]]]
"""Gives (kind of defect, id, detail) of the answers that a model cannot learn or give."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Spread of a length; the 95th percentile is the smallest value that 95% do not exceed."""

    min: int
    median: float
    mean: float
    p95: int
    max: int


@dataclass(frozen=True)
class Diagnosis:
    """The doctor's findings on one corpus.

    Args:
        name, fingerprint: of the corpus.
        counts: questions, contexts, answers and so on, and what reading them changed.
        lengths: `question`, `context` and `answer`, each in `characters` and `words`.
        defects: blocking ones and notes.
        scoring_note: why the rule for EM and F1 does not fit the answers.
    """

    name: str
    fingerprint: str
    counts: Mapping[str, int | float]
    lengths: Mapping[str, Lengths]
    defects: tuple[Defect, ...] = ()
    checks_left_out: tuple[str, ...] = field(default=())
    scoring_note: str | None = None

    @property
    def blocking(self) -> tuple[Defect, ...]:
        """The defects for which training refuses the data."""
        return tuple(defect for defect in self.defects if defect.blocking)

    @property
    def notes(self) -> tuple[Defect, ...]:
        """What the user should know and need not change."""
        return tuple(defect for defect in self.defects if not defect.blocking)

    def to_text(self) -> str:
        """The report as aligned text, at most five cases of a kind."""
        width = max(map(len, (*self.counts, *self.lengths)), default=0)
        lines = [f"{self.name}  (sha256 {self.fingerprint[:12]})", ""]
        lines += [f"  {name:<{width}}  {_number(value):>9}" for name, value in self.counts.items()]
        if self.lengths:
            heads = ("min", "median", "mean", "p95", "max")
            lines += ["", f"  {'lengths':<{width}}" + "".join(f"  {head:>9}" for head in heads)]
            for name, spread in self.lengths.items():
                cells = "".join(f"  {_number(getattr(spread, head)):>9}" for head in heads)
                lines.append(f"  {name:<{width}}{cells}")
        for title, defects, none in (
            ("Defects (training refuses them, or --repair)", self.blocking, "No defects."),
            ("Notes", self.notes, "No notes."),
        ):
            lines += ["", f"{title}: {len(defects)}", defects_text(defects)] if defects else ["", none]
        lines += ["", f"Scoring: {self.scoring_note}"] if self.scoring_note else []
        lines += [""] * bool(self.checks_left_out) + [f"Not checked: {name}" for name in self.checks_left_out]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        defects = [{**asdict(defect), "blocking": defect.blocking} for defect in self.defects]
        numbers = Counter(defect.kind for defect in self.defects)
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "counts": dict(self.counts),
            "lengths": {name: asdict(spread) for name, spread in self.lengths.items()},
            "defect_counts": {kind: numbers[kind] for kind in KINDS if kind in numbers},
            "defects": defects,
            "checks_left_out": list(self.checks_left_out),
            "scoring_note": self.scoring_note,
        }


def diagnose(
    corpus: Corpus,
    other: Corpus | None = None,
    *,
    answers: AnswerCheck | None = None,
    squad_v2: bool = True,
    language: str | None = None,
) -> Diagnosis:
    """Examine a corpus that `examine` has read (a loaded one has no broken rows left, or would have been refused).

    Args:
        corpus: what is examined.
        other: its counterpart (validation for train): contexts that are in both are reported.
        answers: looks for answers that a model cannot learn or give; `answering` makes it, since it needs a tokenizer.
        squad_v2: False reports every question without an answer as a defect.
        language: of MLQA's rules, by which answers will be scored; None for the official rule.
    """
    defects = list(corpus.defects)
    if not squad_v2:
        without = [example for example in corpus.examples if not example.answerable]
        defects += [_about(example, "unanswerable", "answers", repr(example.question)) for example in without]
    defects += _duplicate_questions(corpus.examples)
    left_out: list[str] = []
    if other is None:
        left_out.append("contexts shared with another split (no other split given)")
    else:
        defects += _shared_contexts(corpus.examples, other)
    if answers is None:
        left_out.append("answers that a model cannot learn or give (no tokenizer given)")
    else:
        known = {example.id: example for example in corpus.examples}
        defects += [_about(known[id], kind, "answers", detail) for kind, id, detail in answers(corpus.examples)]
    counts, lengths = statistics(corpus)
    note = script_note(corpus.examples, language)
    return Diagnosis(corpus.name, corpus.fingerprint, counts, lengths, tuple(defects), tuple(left_out), note)


def statistics(corpus: Corpus) -> tuple[dict[str, int | float], dict[str, Lengths]]:
    """Counts and lengths of a corpus; contexts are measured once each, answers one by one."""
    examples = corpus.examples
    contexts = list(dict.fromkeys(example.context for example in examples))
    answers = [answer.text for example in examples for answer in example.answers]
    answerable = [example for example in examples if example.answerable]
    counts: dict[str, int | float] = {
        "questions": len(examples),
        "contexts": len(contexts),
        "answerable": len(answerable),
        "unanswerable": len(examples) - len(answerable),
        "answers": len(answers),
        "several answers": sum(len(set(example.answers)) > 1 for example in examples),
        "answers per answerable question": round(len(answers) / len(answerable), 2) if answerable else 0,
        **corpus.counts,
    }
    lengths: dict[str, Lengths] = {}
    questions = [example.question for example in examples]
    for name, texts in (("question", questions), ("context", contexts), ("answer", answers)):
        if texts:
            lengths[f"{name} characters"] = spread(len(text) for text in texts)
            lengths[f"{name} words"] = spread(len(text.split()) for text in texts)
    return counts, lengths


def sample_statistics() -> dict[str, tuple[dict[str, int | float], dict[str, Lengths]]]:
    """Statistics of the built-in corpora, for the docs: `sample train`, `sample validation`, `sample-v2 train`, …."""
    return {
        f"{name} {split}": statistics(load_corpus(name, split=split))
        for name in SAMPLES
        for split in ("train", "validation")
    }


def spread(values: Iterable[int]) -> Lengths:
    """Smallest, middle, mean, 95th percentile and largest of one value or more."""
    ordered = sorted(values)
    number = len(ordered)
    median = (ordered[(number - 1) // 2] + ordered[number // 2]) / 2
    p95 = ordered[-(-95 * number // 100) - 1]
    return Lengths(ordered[0], median, round(sum(ordered) / number, 1), p95, ordered[-1])


def _duplicate_questions(examples: Sequence[Example]) -> list[Defect]:
    first: dict[tuple[str, str], str] = {}
    defects: list[Defect] = []
    for example in examples:
        before = first.setdefault((example.question, example.context), example.id)
        if before != example.id:
            detail = f"{example.question[:60]!r} is {before!r} too"
            defects.append(_about(example, "duplicate-question", "question", detail))
    return defects


def _shared_contexts(examples: Sequence[Example], other: Corpus) -> list[Defect]:
    """One note per context, at its first example."""
    keys = context_keys(examples)
    elsewhere = set(context_keys(other.examples).values())
    first = {keys[example.context]: example for example in reversed(examples) if keys[example.context] in elsewhere}
    return [
        _about(example, "shared-context", "context", f"{example.context[:60]!r} is in {other.name} too")
        for example in reversed(first.values())
    ]


def _about(example: Example, kind: str, field: str, detail: str) -> Defect:
    return Defect(kind, example.id, example.source, "", field, detail)


def _number(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")
