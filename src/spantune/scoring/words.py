"""Words and sentences by surface rules, for every script: no model, no word list beyond English function words."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from itertools import pairwise

from spantune.data.example import Answer, Example
from spantune.scoring.official_metrics import normalize_answer

# Chinese characters and Japanese kana, which are written without spaces: each counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_ENDS = re.compile(r"[.!?]+[\"'”’)\]]*\s+(?=[^a-z\s])|[。！？]+\s*|\n+")
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|No|Gen|Col|Lt|Rev|Gov|Sen|e\.g|i\.e|ca?)\.$"
)


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written as a text."""
    return frozenset(text.split())


FUNCTION_WORDS = word_set(
    """
    about after all also am an and any are as at be been before being both but by can could did do does doing during
    each few for from further had has have having he her here hers him his how i if in into is it its many may me might
    more most much must my no nor not of off on once only or other our out over own same shall she should so some such
    than that their them then there these they this those through to too under until up upon very was we were what when
    where which while who whom whose why will with would you your s t
    """
)
"""English words that say nothing of a question's subject, question words among them, normalised."""
NUMBER_WORDS = word_set(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million
    millions billion billions trillion dozen dozens half thirds quarter quarters once twice none
    """
)
_FIGURES = re.compile(r"\d+(?:[.,:]\d+)*")
_LATIN = re.compile(r"[a-z]+")


def words(text: str) -> list[str]:
    """The text between white space; each character of Chinese and Japanese."""
    return _WORD.findall(text)


def numbers(text: str) -> set[str]:
    """Figures and English number words."""
    return {*_FIGURES.findall(text), *(NUMBER_WORDS & set(_LATIN.findall(text.lower())))}


def bare(word: str) -> str:
    """A word without punctuation around it."""
    return word.strip(string.punctuation + "“”‘’«»…–—¿¡。、，！？")


@lru_cache(maxsize=4096)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """(start, end) characters of the sentences, which cover the text.

    One ends at a full stop, ! or ? before white space and no lower-case letter, at 。！？, or at a line break; not
    after an initial or a common abbreviation.
    """
    cuts = [0]
    for match in _ENDS.finditer(text):
        stop = text[: match.start() + 1]
        if not (text[match.start()] == "." and _ABBREVIATED.search(stop[-8:])):
            cuts.append(match.end())
    if cuts[-1] < len(text) or len(cuts) == 1:
        cuts.append(len(text))
    return tuple(pairwise(cuts))


def sentence_at(context: str, place: int) -> tuple[int, int]:
    """(start, end) characters of the sentence that holds character `place`."""
    return next((sentence for sentence in sentences(context) if place < sentence[1]), (0, len(context)))


def overlap(question: str, sentence: str) -> float:
    """Share of the question's words, but function words, that the sentence has in the same form; 0 without any."""
    asked, present = (set(words(normalize_answer(text))) for text in (question, sentence))
    asked -= FUNCTION_WORDS
    return len(asked & present) / len(asked) if asked else 0.0


def main_answer(example: Example) -> Answer | None:
    """The answer that most annotators gave, the first among equals; None if there is none."""
    if not example.answers:
        return None
    texts = [normalize_answer(answer.text) for answer in example.answers]
    return example.answers[texts.index(max(texts, key=texts.count))]
