"""Answers in every form that files have them, as pairs (text, answer_start)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spantune.data.readers.raw_row import CutText, RawAnswers, Unreadable, bounded, is_missing
from spantune.data.readers.text_files import described

# The names of an answer's parts: SQuAD's first, then those of annotation tools.
_TEXTS = ("text", "answer_text", "answer")
STARTS = ("answer_start", "start", "start_offset", "startOffset", "start_char", "char_start", "begin")
_ENDS = ("answer_end", "end", "end_offset", "endOffset", "end_char", "char_end", "stop")
_EXPECTED = "expected a list of {'text', 'answer_start'}"


def answer_pairs(value: object, start: object = None, context: object = None) -> RawAnswers:
    """Answers in any known form as pairs (text, answer_start).

    Known: `{"text": [...], "answer_start": [...]}`; one or a list of `{"text", "answer_start"}`, of spans
    `{"start", "end", "text"}`, `{"start_offset", "end_offset"}` or `[start, end, label]`, whose missing text is cut out
    of the context; a list of texts; one text. An `answer_start` beside the value belongs to it.
    """
    if value == {}:
        return None
    if isinstance(value, Mapping):
        text = _first(value, _TEXTS)
        if isinstance(text, (list, tuple)):
            return _zipped(text, _first(value, STARTS, start))
        if not is_span(value) and text is None and not any(name in value for name in _TEXTS):
            return Unreadable(f"expected the keys 'text' and 'answer_start', found {sorted(map(str, value))[:12]}")
        return _spans([{"answer_start": start, **value}], context)
    if isinstance(value, (list, tuple)) and (
        any(isinstance(answer, Mapping) for answer in value) or (value and all(is_span(answer) for answer in value))
    ):
        return _spans(value, context)
    return None if is_missing(value) else _zipped(value, start)


def is_span(value: object) -> bool:
    """Whether a value is a place in a text: `{"start": 3, ...}`, or `[3, 8, "label"]`."""
    if isinstance(value, Mapping):
        starts = [value[name] for name in STARTS if name in value]
        return bool(starts) and not isinstance(starts[0], (list, tuple))
    return (
        isinstance(value, (list, tuple))
        and 2 <= len(value) <= 3
        and all(isinstance(at, int) and not isinstance(at, bool) for at in value[:2])
        and isinstance(value[-1], (int, str))
    )


def are_spans(value: object) -> bool:
    """Whether a value is one `{"start": ...}` or a list of places in a text."""
    if isinstance(value, Mapping):
        return is_span(value)
    return isinstance(value, (list, tuple)) and bool(value) and all(map(is_span, value))


def _spans(values: Sequence[object], context: object) -> RawAnswers:
    pairs: list[tuple[object, object]] = []
    for value in values:
        if type(value) is dict and type(value.get("text")) is str and type(value.get("answer_start")) is int:
            pairs.append((value["text"], value["answer_start"]))  # as in SQuAD: there are very many of them
            continue
        if isinstance(value, Mapping):
            text, start, end = _first(value, _TEXTS), _first(value, STARTS), _first(value, _ENDS)
            if value and not any(name in value for name in _TEXTS) and is_missing(end):
                return Unreadable(f"{_EXPECTED}, found {described(value)}")
        elif is_span(value) and isinstance(value, (list, tuple)):
            text, start, end = None, value[0], value[1]
        else:
            return Unreadable(f"{_EXPECTED}, found {described(value)}")
        if (is_missing(text) or text == "") and not is_missing(end):
            text = _cut(context, start, end, text)
            if text is None:
                return Unreadable(f"a span that is not in the context: {described(value)}")
        pairs.append((bounded(text), bounded(start)))
    return pairs


def _cut(context: object, start: object, end: object, text: object) -> object:
    """The context's text from start to end; an empty text of an empty span stays."""
    if not isinstance(context, str) or not isinstance(start, int) or not isinstance(end, int):
        return text
    return CutText(context[start:end]) if 0 <= start < end <= len(context) else text


def _first(value: Mapping[str, object], names: Sequence[str], fallback: object = None) -> object:
    for name in names:
        if not is_missing(inner := value.get(name)):
            return inner
    return fallback


def _zipped(texts: object, starts: object) -> RawAnswers:
    if not isinstance(texts, (list, tuple)):
        texts = [texts]
    if is_missing(starts):
        return [(bounded(text), None) for text in texts]
    if not isinstance(starts, (list, tuple)):
        starts = [starts]
    if len(starts) != len(texts):
        return Unreadable(f"{len(texts)} texts and {len(starts)} offsets")
    return [(bounded(text), bounded(start)) for text, start in zip(texts, starts, strict=True)]
