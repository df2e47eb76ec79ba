"""A corpus: the checked examples of one source or of a mix, with defects and counts."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spantune.config import Rows
from spantune.data.checks.defects import ALL_ROWS, KINDS, OFFSET_KINDS, Defect, defects_text
from spantune.data.checks.row_joining import joined_rows
from spantune.data.checks.validation import check_rows
from spantune.data.example import Answer, Example
from spantune.data.mixing import weighted
from spantune.data.readers.column_mapping import parse_columns
from spantune.data.readers.flat_files import file_rows
from spantune.data.readers.hf_datasets import folder_rows, folder_splits, hub_rows, pick_split
from spantune.data.readers.raw_row import RawRow, is_missing
from spantune.data.readers.squad_json import nested_rows
from spantune.data.source import SAMPLES, VALIDATION_NAMES, Source, parse_source
from spantune.errors import DataError

SAMPLE_FOLDER = Path(__file__).parent / "sample"


@dataclass(frozen=True)
class Corpus:
    """Examples whose answers are in their contexts at the given offsets.

    Args:
        examples: in the source's order, or in the seeded order of a mix.
        name: the source or sources.
        fingerprint: SHA-256 over the examples' ids, questions, contexts and answers, in order.
        defects: what was wrong with the rows; rows beyond repair are not among the examples.
        counts: rows read, examples dropped, ids made, offsets found, and so on.
    """

    examples: tuple[Example, ...]
    name: str
    fingerprint: str
    defects: tuple[Defect, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        examples: Iterable[Example],
        name: str,
        defects: Iterable[Defect] = (),
        counts: Mapping[str, int] | None = None,
    ) -> Corpus:
        """A corpus with its fingerprint computed."""
        kept = tuple(examples)
        return cls(kept, name, fingerprint(kept), tuple(defects), dict(counts or {}))


def fingerprint(examples: Iterable[Example]) -> str:
    """SHA-256 (hexadecimal) over ids, questions, contexts and answers in order; titles and sources do not matter."""
    digest = hashlib.sha256()
    contexts: dict[str, str] = {}
    for example in examples:
        context = contexts.get(example.context)
        if context is None:
            context = contexts[example.context] = hashlib.sha256(example.context.encode()).hexdigest()
        answers = [[answer.text, answer.start] for answer in example.answers]
        digest.update(json.dumps([example.id, example.question, context, answers]).encode() + b"\n")
    return digest.hexdigest()


def examine(
    source: str,
    *,
    split: str = "train",
    columns: Sequence[str] = (),
    rows: Rows = "joined",
    require_answers: bool = True,
) -> Corpus:
    """Read one source for the doctor: its weight is ignored, and broken rows are reported instead of refused.

    Raises:
        DataError: the source as a whole cannot be read.
    """
    parsed = parse_source(source)
    read = _rows(parsed, split, parse_columns(columns), require_answers)
    name = _name(parsed, split)
    checked = check_rows(read, name, require_answers, rows)
    if not checked.rows:
        raise DataError("the data holds no questions", where=source, expected="at least one question", found="none")
    counts = {"rows read": checked.rows, "examples dropped": checked.dropped, **checked.tallies}
    return Corpus.of(checked.examples, name, checked.defects, counts)


def load_corpus(
    source: str,
    *,
    split: str = "train",
    columns: Sequence[str] = (),
    rows: Rows = "joined",
    seed: int = 0,
    repair: bool | None = False,
    require_answers: bool = True,
) -> Corpus:
    """Read one source, its weight applied.

    Args:
        source: `SOURCE`, `SOURCE#SPLIT`, `SOURCE*WEIGHT`; see `source.py` and `DataConfig.data`.
        split: which split of a source that has several; a `#SPLIT` in the source goes before. A file has only one.
        columns, rows: as `ReadConfig` has them.
        seed: chooses the examples of a fractional weight.
        repair: repair what can be repaired, drop the rest and count both, instead of refusing broken data. None: refuse
            and do not name the flag, which the command does not have.
        require_answers: False for questions that are to be answered: answers are then neither read nor checked.

    Raises:
        DataError: the source cannot be read, or it is broken and is not to be repaired.
    """
    corpus = examine(source, split=split, columns=columns, rows=rows, require_answers=require_answers)
    if not repair:
        refuse_defects(corpus, fix="mend the file" if repair is None else None)
    for note in reading_notes(corpus):
        warnings.warn(note, stacklevel=2)
    if not corpus.examples:
        raise DataError("no example is left after the repair", where=source, found=_in_brief(corpus))
    weight = parse_source(source).weight
    if weight == 1:
        return corpus
    examples = weighted(corpus.examples, weight, f"{seed}:{corpus.name}")
    counts = {**corpus.counts, "examples after the weight": len(examples)}
    return Corpus.of(examples, source, corpus.defects, counts)


def load_references(source: str, *, columns: Sequence[str] = (), rows: Rows = "joined") -> tuple[Example, ...]:
    """The questions of a source with the texts of their accepted answers, for scoring.

    The official scorers never read `answer_start`, so a wrong one is accepted here; every other defect is refused.

    Raises:
        DataError: the source cannot be read, or something other than offsets is broken.
    """
    corpus = examine(source, split="validation", columns=columns, rows=rows)
    if not any(defect.blocking for defect in corpus.defects):
        return corpus.examples
    if any(defect.blocking and defect.kind not in OFFSET_KINDS for defect in corpus.defects):
        refuse_defects(corpus, fix="mend the file")
    read = list(_rows(parse_source(source), "validation", parse_columns(columns), True))
    if rows == "joined":
        read = joined_rows(read)
    if any(is_missing(row.id) for row in read):
        refuse_defects(corpus, fix="mend the file, or give its questions ids")
    return tuple(_by_text(row) for row in read)


def _by_text(row: RawRow) -> Example:
    """An example whose answers are where their text first occurs, or at 0 if it never does."""
    pairs = row.answers if isinstance(row.answers, Sequence) else ()
    context = str(row.context)
    answers = tuple(Answer(str(text), max(0, context.find(str(text)))) for text, _ in pairs)
    return Example(str(row.id), str(row.question), context, answers)


def reading_notes(corpus: Corpus) -> list[str]:
    """What is worth knowing of how a source was read, one line per kind; none of it is a defect."""
    notes: dict[str, list[Defect]] = {}
    for defect in corpus.defects:
        if not defect.blocking:
            notes.setdefault(defect.kind, []).append(defect)
    return [
        f"{corpus.name}: {cases[0].detail}"
        if cases[0].id == ALL_ROWS
        else f"{corpus.name}: {KINDS[kind].summary}: {len(cases)}, first {cases[0].id!r}: {cases[0].detail}"
        for kind, cases in notes.items()
    ]


def refuse_defects(corpus: Corpus, fix: str | None = None) -> None:
    """Raise DataError with the doctor's list if the corpus has a blocking defect."""
    blocking = [defect for defect in corpus.defects if defect.blocking]
    if not blocking:
        return
    mended = sum(defect.repair is not None for defect in blocking)
    lost = corpus.counts.get("examples dropped", 0)
    raise DataError(
        f"the data is broken: {_in_brief(corpus)}\n{defects_text(blocking)}",
        where=corpus.name,
        fix=fix
        or f"--repair mends {mended} of the defects and drops {lost} of the examples, counted; or mend the file",
    )


def _in_brief(corpus: Corpus) -> str:
    blocking = [(defect.where, defect.id) for defect in corpus.defects if defect.blocking]
    number = f"{len(blocking)} {'defect' if len(blocking) == 1 else 'defects'}"
    return f"{number} in {len(set(blocking))} of {corpus.counts['rows read']} examples"


def has_validation(source: str) -> bool | None:
    """Whether a source brings its own validation split; None if only the hub knows."""
    parsed = parse_source(source)
    kind = parsed.kind
    if parsed.split and parsed.split.startswith((*VALIDATION_NAMES, "test")):
        return False  # it is what trains here
    if kind == "folder":
        splits = folder_splits(parsed.path)
        return any(name in splits for name in VALIDATION_NAMES)
    return {"sample": True, "file": False, "hub": None}[kind]


def _name(source: Source, split: str) -> str:
    """The address, and the split if it is one of several and not `train`: `sample#validation`."""
    wanted = source.split or split
    several = source.kind in ("sample", "hub") or (source.kind == "folder" and folder_splits(source.path))
    return f"{source.address}#{wanted}" if several and wanted != "train" else source.address


def _rows(source: Source, split: str, mapping: Mapping[str, str], require_answers: bool) -> Iterator[RawRow]:
    kind, wanted = source.kind, source.split or split
    if kind == "sample":
        return _sample_rows(source, wanted)
    if kind == "folder":
        return folder_rows(source, wanted, mapping, require_answers)
    if kind == "hub":
        return hub_rows(source, wanted, mapping, require_answers)
    if source.split:
        raise DataError("a file has no splits", where=f"{source.address}#{source.split}", fix=f"leave out '#{wanted}'")
    return file_rows(source.path, mapping, require_answers)


def _sample_rows(source: Source, split: str) -> Iterator[RawRow]:
    name = pick_split(split, ("train", "validation"), source.address)
    path = SAMPLE_FOLDER / f"{name}-{SAMPLES[source.address]}.json"
    if not path.is_file():
        raise DataError(
            "the built-in sample is not there",
            where=str(path),
            fix="in a checkout: python corpus/build.py; else install spantune again",
        )
    return nested_rows(json.loads(path.read_text(encoding="utf-8")), str(path))
