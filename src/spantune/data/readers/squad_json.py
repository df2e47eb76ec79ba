"""SQuAD's nested JSON, v1.1 and v2.0: articles, paragraphs, questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spantune.data.readers.answer_forms import answer_pairs
from spantune.data.readers.raw_row import RawAnswers, RawRow, Unreadable, bounded
from spantune.data.readers.text_files import described
from spantune.data.readers.truth import truth
from spantune.errors import DataError, did_you_mean, nearest


def is_nested(value: Mapping[str, Any]) -> bool:
    """Whether an object means to be an article or a paragraph (and not a row)."""
    return "paragraphs" in value or "qas" in value


def within(place: str, inner: str) -> str:
    """A place in a place: `data[0].paragraphs[1]`, `line 3: data[0]`."""
    if not place:
        return inner
    return f"{place}: {inner}" if place.startswith("line ") and ":" not in place else f"{place}.{inner}"


def nested_rows(value: Mapping[str, Any], file: str) -> Iterator[RawRow]:
    """The questions of a parsed file of the official form, in its order.

    Raises:
        DataError: an article, paragraph or question is not an object or has no key for the next level.
    """
    return question_rows(((f"data[{at}]", article) for at, article in enumerate(value["data"])), file)


def question_rows(records: Iterable[tuple[str, Any]], file: str) -> Iterator[RawRow]:
    """The questions of (place, article) or (place, paragraph) pairs, in their order.

    Raises:
        DataError: as `nested_rows`.
    """
    for place, record in records:
        paragraphs = [(place, record)]
        if not isinstance(record, Mapping) or "qas" not in record or "paragraphs" in record:
            listed = _list(record, "paragraphs", file, place)
            paragraphs = [(within(place, f"paragraphs[{p}]"), paragraph) for p, paragraph in enumerate(listed)]
        for where, paragraph in paragraphs:
            yield from _paragraph_rows(paragraph, record.get("title"), file, where)


def _paragraph_rows(paragraph: Any, title: object, file: str, place: str) -> Iterator[RawRow]:
    questions = _list(paragraph, "qas", file, place)
    context = bounded(_key(paragraph, "context", file, place))
    for q, question in enumerate(questions):
        where = within(place, f"qas[{q}]")
        if not isinstance(question, Mapping):
            raise _not_an_object(question, file, where)
        yield RawRow(
            id=bounded(question.get("id", question.get("qid"))),
            question=bounded(question.get("question")),
            context=context,
            answers=_answers(question, context),
            impossible=truth(question.get("is_impossible")),
            title=title,
            where=where,
        )


def _answers(question: Mapping[str, Any], context: object) -> RawAnswers:
    answers = question.get("answers")
    if (detected := _detected(question)) is not None:
        return detected
    if answers is None and "answer" in question:
        return answer_pairs(question["answer"], question.get("answer_start"), context)
    if isinstance(answers, (str, int, float)) and not isinstance(answers, bool):
        return Unreadable(f"expected a list of {{'text', 'answer_start'}}, found {answers!r}")
    return answer_pairs(answers, context=context)


def _detected(question: Mapping[str, Any]) -> RawAnswers:
    """MRQA's answers: each text with all its places, whose ends are inclusive."""
    detected = question.get("detected_answers")
    if detected is None:
        return None
    try:
        return [(answer["text"], start) for answer in detected for start, _ in answer["char_spans"]] or None  # type: ignore[union-attr]
    except (TypeError, KeyError, ValueError):
        return None


def not_squad(found: Any, file: str, lists: Sequence[str] = ()) -> DataError:
    """The error for a JSON that holds neither nested SQuAD nor rows; `lists` are keys of which each holds some."""
    shown = f"an object with the keys {sorted(found)[:12]}" if isinstance(found, Mapping) else described(found)
    hint = None
    if lists:
        hint = f"write {' and '.join(map(repr, lists[:5]))} into files of their own"
    elif isinstance(found, Mapping) and (near := nearest("data", found)):
        hint = f"is {near!r} meant to be 'data'?" if near != "data" else "'data' holds a list"
    elif isinstance(found, Mapping) and any(isinstance(value, str) for value in found.values()):
        hint = "if it is one row, name its columns: --columns question=YOUR_COLUMN"
        if all(isinstance(value, str) for value in found.values()):
            hint = f"this looks like predictions ({{id: answer}}); give the file with the questions; {hint}"
    return DataError(
        "the JSON is not SQuAD",
        where=file,
        expected="{'data': [{'title', 'paragraphs': [{'context', 'qas': [{'id', 'question', 'answers'}]}]}]} "
        "or a list of rows with the columns id, question, context, answers",
        found=shown,
        fix=hint,
    )


def _list(value: Any, key: str, file: str, where: str) -> list[Any]:
    inner = _key(value, key, file, where)
    if not isinstance(inner, list):
        raise DataError(
            "the JSON is not SQuAD", where=f"{file}: {within(where, key)}", expected="a list", found=described(inner)
        )
    return inner


def _key(value: Any, key: str, file: str, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _not_an_object(value, file, where)
    if key not in value:
        near = nearest(key, map(str, value))
        raise DataError(
            "the JSON is not SQuAD",
            where=f"{file}: {where}",
            expected=f"the key {key!r}",
            found=f"the keys {sorted(map(str, value))[:12]}",
            fix=did_you_mean(key, map(str, value)) if near else None,
        )
    return value[key]


def _not_an_object(value: Any, file: str, where: str) -> DataError:
    return DataError("the JSON is not SQuAD", where=f"{file}: {where}", expected="an object", found=described(value))
