"""What comes back for an example: its answer, and the candidates that it was chosen from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class Candidate(NamedTuple):
    """A possible answer: `context[start:end] == text`, without white space around it.

    `score` is start + end logit (the highest, where several windows hold the span); `probability` its share among all
    valid spans of all windows (and "no answer", where that is allowed).
    """

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one example. `text` is "" (at 0:0) for "no answer"; then score and probability are the null's.

    `null_score` is the lowest score of the classification token over the windows. `null_probability` is 0 if every
    question counts as answerable. `n_best` holds spans only, best first, also where the answer is "".
    """

    id: str
    text: str
    start: int
    end: int
    score: float
    probability: float
    null_score: float
    null_probability: float
    n_best: tuple[Candidate, ...] = ()

    @property
    def null_odds(self) -> float:
        """Null score minus the best span's score (the official `null_odds.json`); infinite without any span."""
        return self.null_score - self.n_best[0].score if self.n_best else math.inf
