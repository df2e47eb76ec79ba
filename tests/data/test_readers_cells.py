"""Cells: lists and mappings that were written as text, offsets, yes and no, separators, names of columns."""

import csv
import io
import json
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spantune.data import Answer, load_corpus
from spantune.data.readers.cell_text import parse_cell
from spantune.data.readers.raw_row import Unreadable
from spantune.data.readers.truth import truth
from spantune.errors import DataError

CONTEXT = "Ada built it in 1934, no: in 1934."


def answers(tmp_path: Path, *rows: dict[str, Any], **options: Any) -> tuple[Answer, ...]:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    corpus = load_corpus(str(path), **options)
    assert not corpus.defects
    return corpus.examples[0].answers


def row(**cells: Any) -> dict[str, Any]:
    return {"id": "1", "question": "When?", "context": CONTEXT, **cells}


TWO = (Answer("1934", 16), Answer("in 1934", 13))


@pytest.mark.parametrize(
    "cell",
    [
        "{'text': array(['1934', 'in 1934'], dtype=object), 'answer_start': array([16, 13])}",
        "{'text': array(['1934', 'in 1934'],\n      dtype='<U7'), 'answer_start': array([16, 13], dtype=int32)}",
        "{'text': ['1934' 'in 1934'], 'answer_start': [16 13]}",
        "{'answer_start': np.array([16, 13]), 'text': np.array(['1934', 'in 1934'])}",
        "{'text': [np.str_('1934'), np.str_('in 1934')], 'answer_start': [np.int64(16), np.int64(13)]}",
        "{'text': ('1934', 'in 1934'), 'answer_start': (16, 13)}",
        "{'text': ['1934', 'in 1934'], 'answer_start': [16, 13]}",
        '{"text": ["1934", "in 1934"], "answer_start": [16, 13]}',
        "[{'text': '1934', 'answer_start': 16}, {'text': 'in 1934', 'answer_start': 13}]",
        "array([{'text': '1934', 'answer_start': 16},\n       {'text': 'in 1934', 'answer_start': 13}], dtype=object)",
        '[{"start": 16, "end": 20}, {"start": 13, "end": 20, "labels": ["Answer"]}]',
        "[[16, 20], [13, 20, 'Answer']]",
    ],
)
def test_two_answers_in_one_cell(cell: str, tmp_path: Path) -> None:
    assert answers(tmp_path, row(answers=cell)) == TWO


@pytest.mark.parametrize(
    "texts", ["['1934' 'in 1934']", "['1934'\n 'in 1934']", "['1934', 'in 1934']", '["1934", "in 1934"]']
)
@pytest.mark.parametrize("starts", ["[16 13]", "[ 16  13]", "[16, 13]", "array([16, 13])", "[16\n 13]"])
@pytest.mark.parametrize(
    ("text", "start", "columns"),
    [
        ("answers.text", "answers.answer_start", ()),
        ("answers_text", "answers_answer_start", ()),
        ("answers.text", "answers.answer_start", ("answers=answers.text",)),
        ("answers.text", "answers.answer_start", ("answer=answers.text",)),
        ("answers.text", "answers.answer_start", ("answers=answers.text", "answer_start=answers.answer_start")),
        ("antwort.text", "antwort.answer_start", ("answers=antwort",)),
        ("answer", "answer_start", ()),
        ("answers", "answer_start", ()),
    ],
)
def test_two_answers_in_two_cells(
    text: str, start: str, columns: tuple[str, ...], texts: str, starts: str, tmp_path: Path
) -> None:
    assert answers(tmp_path, row(**{text: texts, start: starts}), columns=columns) == TWO


@pytest.mark.parametrize(
    ("text", "start", "wanted"),
    [
        ("['1934']", "[16]", "1934"),
        ("['1934']", "16", "1934"),
        ("1934", "[16]", "1934"),
        ("['1934']", "np.int64(16)", "1934"),
        ("np.str_('1934')", "16", "1934"),
        ("[]", "[]", None),
        ("array([], dtype=object)", "array([], dtype=int64)", None),
    ],
)
def test_one_answer_in_two_cells(text: str, start: str, wanted: str | None, tmp_path: Path) -> None:
    found = answers(tmp_path, row(answer=text, answer_start=start))
    assert found == ((Answer(wanted, 16),) if wanted else ())


@pytest.mark.parametrize("answer", ["[sic] 19 men", "[1832]", "['a']", "{x | x > 0}", "array(3)", "[19th century]"])
@pytest.mark.parametrize("offset", [True, False])
def test_a_text_that_begins_with_a_bracket(answer: str, offset: bool, tmp_path: Path) -> None:
    cells = row(context=f"It is {answer}.", answer=answer) | ({"answer_start": 6} if offset else {})
    assert answers(tmp_path, cells) == (Answer(answer, 6),)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("[sic] words", r"'\[sic\] words' is not in the context"),
        ("{'text': ['1934'", "neither JSON nor Python"),
        ("{'text': array(['1934', ..., '1934'], dtype=object)}", "numpy shortened the array"),
        ("{'text': open('x')}", "neither JSON nor Python"),
        ("{'text': __import__('os').getcwd()}", "neither JSON nor Python"),
        ("{'text': ['1934', 'in 1934'], 'answer_start': [16]}", "2 texts and 1 offsets"),
        ("[" * 5000, "is not in the context"),
    ],
)
def test_a_cell_that_cannot_be_read(answer: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        answers(tmp_path, row(answers=answer))


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@given(value=st.lists(nested, max_size=4) | st.dictionaries(st.text(max_size=5), nested, max_size=4))
@settings(deadline=None)
def test_pythons_repr_and_json_are_read_back(value: Any) -> None:
    assert parse_cell(repr(value)) == value
    assert parse_cell(json.dumps(value)) == value
    assert parse_cell(f"\n {value!r} ") == value


@given(texts=st.lists(st.text(st.characters(exclude_characters="\0"), max_size=30), min_size=1, max_size=9))
@settings(deadline=None)
def test_numpys_text_is_read_back(texts: list[str]) -> None:
    for array in (numpy.array(texts, dtype=object), numpy.array(texts)):
        assert parse_cell(str(array)) == texts
        assert parse_cell(repr(array)) == texts
        assert parse_cell(str({"text": array})) == {"text": texts}
        assert parse_cell(str(list(array))) == texts
    starts = [len(text) * 1000 for text in texts]
    for kind in (numpy.int32, numpy.int64, numpy.uint16, numpy.float32):
        array = numpy.array(starts, dtype=kind)
        assert parse_cell(str(array)) == starts and parse_cell(repr(array)) == starts
        assert parse_cell(str(list(array))) == starts


@given(text=st.text("[]{}(),:='\"\\ .1aN\nu", max_size=40))
@settings(deadline=None)
def test_any_text_gives_a_value_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        parse_cell(text)


YES: list[Any] = [
    True,
    1,
    1.0,
    [True],
    ["yes"],
    "true",
    "True",
    " TRUE ",
    "1",
    "1.0",
    "1,0",
    "t",
    "T",
    "y",
    "Yes",
    "ja",
]
YES += ["WAHR", "oui", "Vrai", "si", "sí", "SÌ", "[true]", "[True]", "['yes']", "[1]", "[ True]", "np.True_"]
NO: list[Any] = [False, 0, 0.0, [False], "false", "FALSE", "0", "0.0", "-0", "f", "n", "no", "nein", "FALSCH", "non"]
NO += ["faux", "[false]", "[False]", "[0]"]


@pytest.mark.parametrize(("value", "wanted"), [*((one, True) for one in YES), *((one, False) for one in NO)])
def test_yes_and_no(value: Any, wanted: bool) -> None:
    assert truth(value) is wanted


@pytest.mark.parametrize("value", [None, float("nan"), "", "  ", "None", "null", "NaN", [], "[]", [None]])
def test_nothing_said(value: Any) -> None:
    assert truth(value) is None


@pytest.mark.parametrize(
    "value", ["x", "maybe", "2", 2, -1, 0.5, "1.5", "?", [True, False], {}, {"a": 1}, [[True]], "[", "inf"]
)
def test_something_else_is_not_nothing(value: Any) -> None:
    said = truth(value)
    assert isinstance(said, Unreadable) and repr(value)[:20].strip("'") in said.detail


def test_a_csv_says_it_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "id,question,context,answer,is_impossible\n1,Who?,Ada.,,WAHR\n2,Who?,Ada.,Ada,0.0\n3,Who?,Ada.,Ada,\n"
    )
    assert [one.answerable for one in load_corpus(str(path)).examples] == [False, True, True]
    path.write_text("id,question,context,answer,is_impossible\n1,Who paid?,Ada Moor built it.,Ada Moor,1.0\n")
    with pytest.raises(DataError, match="contradiction"):
        load_corpus(str(path))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.CSV"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "\ufeff", "\ufeff\ufeff", "\n\n", "sep={}\r\n", "\ufeffsep={}\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_separators_marks_and_blanks(quoting: Any, first: str, mark: str, name: str, tmp_path: Path) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=mark, quoting=quoting)
    writer.writerow(["id", " question", "context ", "answer", "a, remark; of | some\tlength"])
    writer.writerow(["1", "Who, then; who | what?", "It was\nAda; she, they |\t.", "Ada", ""])
    path = tmp_path / name
    path.write_text(first.format(mark) + out.getvalue(), encoding="utf-8", newline="")
    (example,) = load_corpus(str(path)).examples
    assert (example.id, example.answers) == ("1", (Answer("Ada", 7),))
    names = ("id=nr", "question=frage", "context=text", "answer=antwort")
    foreign = out.getvalue().replace("question", "frage").replace("context", "text").replace("answer", "antwort", 1)
    path.write_text(foreign, encoding="utf-8", newline="")
    assert load_corpus(str(path), columns=names).examples[0].answers == (Answer("Ada", 7),)


VALUES = {"q": "Who?", "c": "It was Ada.", "a": "Ada", "s": "7", "n": "1", "x": "some note"}
# "q question" is a column named "question" that holds the question; n is an id, s an offset, x something else.
HEADERS = [
    "n id|q question|c context|x text|a answr",
    "n id|q question|c context|s answer_start|a antwort",
    "q qestion|c contxt|a anwser",
    "q Question|c Context|a Answer",
    "q frage|c text|a antwort",
    "q my question|c the context|a an answer's text",
    "n id|q questions|c contexts|a answer_txt|s answer_start|x answer_stats",
    "q question|c document|a answers_texts|x title",
    "n question_id|q query|c context|a text|s answer_start",
    "q question|c text|a answer",
    "q question=|c context$HOME|a answer;",
    "x titles|n ids|q the_question|c the_context|a gold",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "single"])
def test_advice_on_columns_works_when_it_is_followed(kind: str, header: str, tmp_path: Path) -> None:
    """Each message is followed to the letter, a placeholder by the column that is meant, until the file is read."""
    of = {name: part for part, _, name in (cell.partition(" ") for cell in header.split("|"))}
    meant = {"question": "q", "context": "c", "answers": "a", "answer": "a"}
    path = tmp_path / f"a.{'json' if kind == 'single' else kind}"
    record = {name: int(VALUES[part]) if part == "s" else VALUES[part] for name, part in of.items()}
    if kind == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([list(record), list(record.values())])
    else:
        path.write_text(json.dumps([record] if kind == "json" else record))
    columns: tuple[str, ...] = ()
    for _ in range(4):
        try:
            (example,) = load_corpus(str(path), columns=columns).examples
        except DataError as error:
            advice = re.search(r"--columns (.+)$", str(error.fix))
            assert advice, error
            (entry,) = shlex.split(advice[1])
            part, _, column = entry.partition("=")
            taken = {one.partition("=")[2] for one in columns}
            assert column not in taken, f"{error}: {column!r} plays another part"
            if column == "YOUR_COLUMN":
                column = next(name for name, kind in of.items() if kind == meant[part])
            assert of[column] == meant[part], error
            columns += (f"{part}={column}",)
        else:
            assert (example.question, example.context, example.answers) == ("Who?", "It was Ada.", (Answer("Ada", 7),))
            return
    pytest.fail(f"the advice leads nowhere: {columns}")


def test_advice_where_no_column_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,question,context,answer_start\n1,Who?,It was Ada.,7\n")
    with pytest.raises(DataError, match="add a column 'answers'"):
        load_corpus(str(path))
    path.write_text("id,question,context,answer_start,answers\n1,Who?,It was Ada.,7,Ada\n")
    assert load_corpus(str(path)).examples[0].answers == (Answer("Ada", 7),)


def test_keys_and_columns_that_are_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"question": "no", "question": "Who?", "context": "It was Ada.", "answer": "Ada"}]')
    assert load_corpus(str(path)).examples[0].question == "Who?"
    path = tmp_path / "a.csv"
    path.write_text("\ufeff question,context,question \n")
    with pytest.raises(DataError, match=r"two columns have one name.*\n.*\n.*question\n.*a name of its own"):
        load_corpus(str(path))
    path.write_text(",question,context,answer,,\n0,Who?,It was Ada.,Ada,,\n")
    assert len(load_corpus(str(path)).examples) == 1


@pytest.mark.parametrize("start", ["16.0", " 16", "16 ", "16.00"])
def test_whole_numbers_in_a_csv(start: str, tmp_path: Path) -> None:
    assert answers(tmp_path, row(answer="1934", answer_start=start)) == (Answer("1934", 16),)


PIECES = [
    "question",
    "context",
    "answer",
    "answers.text",
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    '"',
    "sep=",
    "[",
    "]",
    "{",
    "'",
]
PIECES += ["Ada", "16", "is_impossible", "maybe", "text", "answer_start", "\ufeff", "\0", "NaN", " "]


@given(pieces=st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40), head=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_any_text_as_a_csv_gives_rows_or_a_clear_error(pieces: list[str], head: bool, tmp_path: Path) -> None:
    text = "question,context,answers,answer_start,is_impossible\n" * head + "".join(pieces)
    (tmp_path / "a.csv").write_bytes(text.encode("utf-8", "replace"))
    with suppress(DataError):
        load_corpus(str(tmp_path / "a.csv"), repair=True)
