"""Corrections: the right span of a question, marked by a person, kept in SQLite and exported as SQuAD JSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from spantune.data.checks.texts import require_text
from spantune.errors import DataError, RunError
from spantune.scoring.error_kinds import occurrences

FILE = "corrections.sqlite3"
SCHEMA = 2
"""Kept in the file as `user_version`."""
FORMATS = ("v1.1", "v2.0")
_TABLES = f"""
CREATE TABLE IF NOT EXISTS corrections (
    key TEXT PRIMARY KEY, question TEXT NOT NULL, context TEXT NOT NULL, answer_start INTEGER,
    answer_text TEXT NOT NULL, title TEXT NOT NULL, corrected_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS earlier (
    key TEXT PRIMARY KEY, changed_at TEXT NOT NULL, question TEXT, context TEXT, answer_start INTEGER,
    answer_text TEXT, title TEXT, corrected_at TEXT
);
PRAGMA user_version = {SCHEMA};
"""
"""`earlier`, new in schema 2, is what was there before the last change of a correction; nulls where there was none."""
_REMEMBER = """
INSERT OR REPLACE INTO earlier
SELECT asked.key, ?, question, context, answer_start, answer_text, title, corrected_at
FROM (SELECT ? AS key) AS asked LEFT JOIN corrections USING (key)
"""
_UNDO_TIME = timedelta(days=1)
"""How long a change can be undone; at the next change, older ones are forgotten."""
_COLUMNS = "key, question, context, answer_start, answer_text, title, corrected_at"
_INSERT = "INSERT INTO corrections VALUES (?, ?, ?, ?, ?, ?, ?)"
_PATIENCE = 10.0
"""Seconds that a writer waits for another."""


@dataclass(frozen=True)
class Correction:
    """What a person says is right.

    Attributes:
        key: see `key_of`; also the id in the export.
        start: first character of the answer in the context, counted in code points; None for "no answer".
        text: the answer as the context has it. title: where the question comes from. corrected_at: ISO 8601, UTC.
    """

    key: str
    question: str
    context: str
    start: int | None
    text: str
    title: str
    corrected_at: str


@dataclass(frozen=True)
class Change:
    """The last change of a question's correction; `now` or `before` is None if there is, or was, none."""

    key: str
    now: Correction | None
    before: Correction | None

    @property
    def stamp(self) -> str:
        """Differs from that of a later change."""
        return self.now.corrected_at if self.now else ""


def key_of(question: str, context: str) -> str:
    """32 hexadecimal digits for a question on its context."""
    return sha256(f"{len(question)}:{question}{context}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def place_of(context: str, text: str, start: int | None) -> int:
    """Where the context has the answer: at `start`, or in its only place if that is None.

    Raises:
        DataError: the context does not have it there, or has it nowhere or in several places.
    """
    if start is not None and start >= 0 and text and context.startswith(text, start):
        return start
    places = [place for place, _ in occurrences(context, text)]
    if len(places) == 1 and start is None:
        return places[0]
    if not places:
        raise DataError(
            "the answer is not in the context",
            expected="words of the context, letter by letter",
            found=repr(text[:80]) if text else "nothing",
            fix="mark it in the context, or copy it from there",
        )
    raise DataError(
        "the answer is in the context several times" if start is None else "the answer is not there",
        expected="one place",
        found=f"{len(places)} places" if start is None else f"character {start}",
        fix="choose the place that is meant",
    )


class Corrections:
    """A SQLite file in a folder, made at the first write. Any number of threads and processes may use it.

    A later correction of the same question on the same context replaces the earlier one.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def put(self, question: str, context: str, text: str, start: int | None, title: str = "") -> Correction:
        """Keep a correction; "" at None is "no answer".

        Raises:
            DataError: question or context is empty, or the context does not have the answer there.
            RunError: the file cannot be written.
        """
        for name, value in (("question", question), ("context", context), ("title", title or "none")):
            require_text(value, f"{name} of a correction")
        if start is not None or text:
            if not text.strip():
                raise DataError("the answer is empty", fix='mark some words, or choose "no answer"')
            start = place_of(context, text, start)
        made = Correction(key_of(question, context), question, context, start, text, title, _now())
        with self._open(change=True) as base:
            known = _correction(base, made.key)
            if known is None or (known.start, known.text) != (start, text):  # else a form was sent twice
                _remember(base, made.key)
            base.execute(
                f"{_INSERT} ON CONFLICT (key) DO UPDATE SET answer_start = excluded.answer_start, "
                "answer_text = excluded.answer_text, corrected_at = excluded.corrected_at",
                astuple(made),
            )
        return made

    def get(self, key: str) -> Correction | None:
        """The correction of a question; None if it has none."""
        with self._open() as base:
            return _correction(base, key)

    def listed(self, offset: int = 0, limit: int = -1) -> list[Correction]:
        """The corrections, the latest first; a limit of -1 gives all."""
        page = f"SELECT {_COLUMNS} FROM corrections ORDER BY corrected_at DESC, key LIMIT ? OFFSET ?"
        with self._open() as base:
            return [Correction(*row) for row in base.execute(page, (limit, offset))]

    def count(self) -> int:
        """How many there are."""
        with self._open() as base:
            return int(base.execute("SELECT COUNT(*) FROM corrections").fetchone()[0])

    def delete(self, key: str) -> bool:
        """Whether there was one."""
        if not self.path.exists():
            return False
        with self._open(change=True) as base:
            if _correction(base, key) is None:
                return False
            _remember(base, key)
            base.execute("DELETE FROM corrections WHERE key = ?", (key,))
        return True

    def last_change(self, key: str) -> Change | None:
        """What `undo` would undo; None if there is nothing (any more)."""
        with self._open() as base:
            return _change(base, key)

    def undo(self, key: str, stamp: str) -> bool:
        """Put back what was there before the last change; a second time makes that change again.

        Returns:
            False if `stamp` is not that of the last change, or it cannot be undone any more.
        """
        with self._open(change=True) as base:
            change = _change(base, key)
            if change is None or change.stamp != stamp:
                return False
            _remember(base, key)
            base.execute("DELETE FROM corrections WHERE key = ?", (key,))
            if change.before:
                base.execute(_INSERT, astuple(change.before))
        return True

    @contextmanager
    def _open(self, change: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for one call; to an empty database in memory if there is no file to read.

        Args:
            change: also begin a transaction, in which no other change comes between reading and writing.
        """
        try:
            if change:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            place = self.path if change or self.path.exists() else ":memory:"
            with closing(sqlite3.connect(place, timeout=_PATIENCE)) as base, base:
                self._prepare(base)
                if change:
                    base.execute("BEGIN IMMEDIATE")
                yield base
        except (sqlite3.Error, OSError) as error:
            problem = "the corrections cannot be read or written"
            raise RunError(problem, where=str(self.path), found=str(error)) from error

    def _prepare(self, base: sqlite3.Connection) -> None:
        (version,) = base.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA:
            return
        if version not in (0, 1):
            raise RunError(
                "another version of spantune wrote the corrections",
                where=str(self.path),
                expected=f"schema {SCHEMA}",
                found=f"schema {version}",
                fix="serve with that version, or choose another folder for the data",
            )
        base.execute("PRAGMA journal_mode = WAL")
        base.executescript(_TABLES)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _correction(base: sqlite3.Connection, key: str) -> Correction | None:
    row = base.execute(f"SELECT {_COLUMNS} FROM corrections WHERE key = ?", (key,)).fetchone()
    return Correction(*row) if row else None


def _change(base: sqlite3.Connection, key: str) -> Change | None:
    before = base.execute(f"SELECT {_COLUMNS} FROM earlier WHERE key = ?", (key,)).fetchone()
    if before is None:
        return None
    existed = before[1] is not None  # it has a question
    return Change(key, _correction(base, key), Correction(*before) if existed else None)


def _remember(base: sqlite3.Connection, key: str) -> None:
    """Keep what is there before a change."""
    oldest = (datetime.now(UTC) - _UNDO_TIME).isoformat(timespec="milliseconds")
    base.execute("DELETE FROM earlier WHERE changed_at < ?", (oldest,))
    base.execute(_REMEMBER, (_now(), key))


def to_squad(corrections: Sequence[Correction], version: str) -> dict[str, Any]:
    """Corrections as SQuAD JSON, for `spantune train --data FILE`, grouped by title and context.

    Args:
        version: of `FORMATS`; v1.1 leaves out questions without an answer.
    """
    titles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for correction in corrections:
        impossible = correction.start is None
        if impossible and version == "v1.1":
            continue
        answers = [] if impossible else [{"text": correction.text, "answer_start": correction.start}]
        entry: dict[str, Any] = {"id": correction.key, "question": correction.question, "answers": answers}
        entry |= {"is_impossible": impossible} if version == "v2.0" else {}
        contexts = titles.setdefault(correction.title or "corrections", {})
        contexts.setdefault(correction.context, []).append(entry)
    articles = [
        {"title": title, "paragraphs": [{"context": context, "qas": entries} for context, entries in contexts.items()]}
        for title, contexts in titles.items()
    ]
    return {"version": version, "data": articles}
