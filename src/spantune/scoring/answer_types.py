"""The type of an answer by what it looks like: rules on the surface, no model.

In the order in which they are tried:

    none    the question has no answer.
    date    every word belongs to dates or times ("in", "early", a day's number), and one makes it a date: a month or
            weekday, a year from 1000 to 2099, a decade, a century, a date in figures, a time of day. A bare number
            after "how many" or "how much" is a number.
    number  it begins, after words such as "about" and "more than", with a figure or a number word, and has up to six
            words; not "one of ..." and not a name such as "Seven Years' War". An ordinal in letters stands alone.
    name    every word but function words begins with a capital letter or a figure, or holds a capital. A single word at
            the beginning of a sentence is no name if the context also has it in lower case.
    long    a clause, a list or a long phrase: it holds a finite auxiliary verb or a comma, begins with a conjunction or
            "to", or has more than eight words.
    phrase  whatever is left.

The words are English; a script without capitals has no names. The rules name the
classes of Rajpurkar et al., 2016 (https://arxiv.org/abs/1606.05250), as far as the surface shows them.
"""

from __future__ import annotations

import re

from spantune.data.example import Answer, Example
from spantune.scoring.words import FUNCTION_WORDS, NUMBER_WORDS, bare, main_answer, sentence_at, word_set, words

ANSWER_TYPES = ("date", "number", "name", "phrase", "long", "none")

_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|march|mar|april|apr|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_MAKES_A_DATE = re.compile(
    rf"(?:{_MONTH}|(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    r"|(?:1\d{3}|20\d\d)(?:'?s)?(?:[-–/](?:\d\d|1\d{3}|20\d\d))?|\d0'?s|(?:mid-)?\d{1,2}(?:st|nd|rd|th)-century"
    r"|centur(?:y|ies)|decades?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d\d(?:am|pm)?|\d{1,2}(?:am|pm)"
    r"|[ap]\.?m|bce?|b\.c|a\.?d|midnight|noon)",
    re.IGNORECASE,
)
_IN_DATES = re.compile(
    r"\d{1,4}(?:st|nd|rd|th)?|the|in|on|of|at|by|around|about|circa|ca?|early|late|mid|between|and|from|to|until|till"
    r"|since|before|after|during|year|spring|summer|autumn|fall|winter|end|beginning|middle|morning|afternoon|evening"
    r"|first|second|third|half|quarter|ce|o'clock|[-–—]?"
    r"|(?:four|fif|six|seven|eigh|nine?)teenth|twent(?:ieth|y-first)|t(?:enth|welfth)|eleventh|ninth|eighth",
    re.IGNORECASE,
)
_HEDGES = word_set(
    """
    about around over under nearly almost approximately roughly some up to at least most only more less fewer than the a
    an between just exactly estimated
    """
)
_ORDINALS = word_set("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth") | {
    f"{stem}teenth" for stem in ("thir", "four", "fif", "six", "seven", "eigh", "nine")
}
_FIGURE = re.compile(r"[$€£¥~≈+\-−#]*\.?\d[\d.,:/%°-]*\D{0,4}")
_AUXILIARY = word_set("is are was were has have had will would can could may might must shall should do does did")
_OPENS_A_CLAUSE = word_set("to because that if when while since so as whether how why where what by")
_SMALL = FUNCTION_WORDS | word_set("a the v vs de la le du von van der den di da del dos al el bin ibn y")
"""What stays small inside a name."""
_MOST_IN_A_NUMBER, _MOST_IN_A_PHRASE = 6, 8


def answer_type(example: Example) -> str:
    """One of `ANSWER_TYPES`, of the answer that most annotators gave."""
    answer = main_answer(example)
    if answer is None:
        return "none"
    bare_words = [word for word in map(bare, words(answer.text)) if word]
    asked = example.question.lower()
    counted = "how many" in asked or "how much" in asked
    if is_date(bare_words) and not (counted and len(bare_words) == 1):
        return "date"
    if is_number(bare_words):
        return "number"
    if is_name(bare_words, answer, example.context):
        return "name"
    return "long" if is_long(bare_words, answer.text) else "phrase"


def is_date(words: list[str]) -> bool:
    """Whether all words occur in dates, and one of them makes a date."""
    marks = [bool(_MAKES_A_DATE.fullmatch(word)) for word in words]
    return any(marks) and all(mark or _IN_DATES.fullmatch(word) for mark, word in zip(marks, words, strict=True))


def is_number(words: list[str]) -> bool:
    """Whether it begins with a figure or a number word, hedges aside."""
    rest = list(words)
    while len(rest) > 1 and rest[0].lower() in _HEDGES:
        rest = rest[1:]
    if not rest or len(words) > _MOST_IN_A_NUMBER:
        return False
    if _FIGURE.fullmatch(rest[0]):
        return True
    lower = [word.lower() for word in rest]
    titled = len(rest) > 1 and all(word[0].isupper() for word in rest if word.lower() not in _SMALL)
    if titled or lower[:2] == ["one", "of"]:
        return False
    spelt = all(part in NUMBER_WORDS for part in lower[0].split("-"))
    return spelt or (len(rest) == 1 and lower[0] in _ORDINALS)


def is_name(words: list[str], answer: Answer, context: str) -> bool:
    """Whether it is capitalised throughout, and not only because it begins a sentence."""
    telling = [word for word in words if word.lower() not in _SMALL]
    if not telling or not all(word[0].isdigit() or any(letter.isupper() for letter in word) for word in telling):
        return False
    if len(words) > 1 or not telling[0].istitle():
        return any(letter.isupper() for word in telling for letter in word)
    before = context[sentence_at(context, answer.start)[0] : answer.start]
    return bool(bare(before.strip())) or not re.search(rf"\b{re.escape(telling[0].lower())}\b", context)


def is_long(words: list[str], text: str) -> bool:
    """Whether it looks like more than a short phrase."""
    lower = [word.lower() for word in words]
    opened = len(lower) > 1 and lower[0] in _OPENS_A_CLAUSE
    return opened or "," in text or len(lower) > _MOST_IN_A_PHRASE or not _AUXILIARY.isdisjoint(lower)
