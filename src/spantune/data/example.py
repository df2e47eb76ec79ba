"""`Example`: what every reader makes and every later stage reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """An accepted answer: exact text of the context and the character (code point) where it starts."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """The character after its last one."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Example:
    """A question on a context. No answers means: the context does not answer it (v2.0)."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    title: str = ""
    source: str = ""

    @property
    def answerable(self) -> bool:
        return bool(self.answers)
