"""The official nested SQuAD JSON, v1.1 and v2.0: articles, paragraphs, questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spantune.data.readers.raw_row import RawAnswers, RawRow, Unreadable, answer_pairs, truth
from spantune.data.readers.text_files import described
from spantune.errors import DataError, did_you_mean, nearest


def is_nested(value: Any) -> bool:
    """Whether a parsed JSON means to be the nested format (and not flat rows)."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), list):
        return False
    return not value["data"] or any(isinstance(one, Mapping) and "paragraphs" in one for one in value["data"])


def nested_rows(value: Mapping[str, Any], file: str) -> Iterator[RawRow]:
    """The questions of a parsed file in its order.

    Raises:
        DataError: an article, paragraph or question is not an object or lacks the key that leads on.
    """
    for a, article in enumerate(value["data"]):
        place = f"data[{a}]"
        for p, paragraph in enumerate(_list(article, "paragraphs", file, place)):
            inner = f"{place}.paragraphs[{p}]"
            questions = _list(paragraph, "qas", file, inner)
            context = _key(paragraph, "context", file, inner)
            for q, question in enumerate(questions):
                where = f"{inner}.qas[{q}]"
                if not isinstance(question, Mapping):
                    raise _not_an_object(question, file, where)
                yield RawRow(
                    id=question.get("id"),
                    question=question.get("question"),
                    context=context,
                    answers=_answers(question),
                    impossible=truth(question.get("is_impossible")),
                    title=article.get("title"),
                    where=where,
                )


def _answers(question: Mapping[str, Any]) -> RawAnswers:
    answers = question.get("answers")
    if isinstance(answers, (str, int, float)) and not isinstance(answers, bool):
        return Unreadable(f"expected a list of {{'text', 'answer_start'}}, found {answers!r}")
    return answer_pairs(answers)


def not_squad(found: Any, file: str) -> DataError:
    """The error for a JSON whose top is neither nested SQuAD nor a list of rows."""
    shown = f"an object with the keys {sorted(found)[:12]}" if isinstance(found, Mapping) else described(found)
    hint = None
    if isinstance(found, Mapping) and (near := nearest("data", found)):
        hint = f"is {near!r} meant to be 'data'?" if near != "data" else "'data' holds a list"
    elif isinstance(found, Mapping) and found and all(isinstance(one, str) for one in found.values()):
        hint = "this looks like predictions ({id: answer}); give the file with the questions"
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
            "the JSON is not SQuAD", where=f"{file}: {where}.{key}", expected="a list", found=described(inner)
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
