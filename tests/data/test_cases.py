"""Small inputs that people reported: each is read as it is meant, or refused with a message that leads on.

The numbers are those of the list that these inputs come from. Its other cases are tested where their code is:

- 1, a release of `tokenizers` that loses windows: `answering/test_unsayable.py`, `answering/test_cache.py`
- 2, 3, 4, 12, answers that the model cannot say: `answering/test_unsayable.py`, `training/test_train.py`
- 5, 6, 7, 20, tokenizers that do not fit: `modeling/test_pretrained_tokenizers.py`
- 17, 18, the trackers: `tracking/test_client.py`, `tracking/test_run_mirror.py`
- 19, half a surrogate pair: `data/test_gold_answers.py`, `answering/test_predictor.py`, `cli/test_bad_input.py`
- 26, offsets in another unit: `data/test_offset_units.py`
- 44, damaged checkpoints: `training/test_resume.py`, `training/test_learning.py`
- 46, texts over HTTP: `web/test_routes.py`
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from spantune.data import Corpus, examine, load_corpus
from spantune.errors import DataError

MILL = "Ada built it in 1841."
SOLD = "Ada built it and Ada sold it."
QUESTION = {"id": "1", "question": "When?", "answers": [{"text": "1841", "answer_start": 16}]}
PARAGRAPH = {"context": MILL, "qas": [QUESTION]}
ROW = {"id": "1", "question": "When?", "context": MILL, "answers": {"text": ["1841"], "answer_start": [16]}}


def table(*rows: list[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def read(folder: Path, content: Any, name: str = "a.json", **options: Any) -> Corpus:
    """The content as a file, examined: bytes and texts as they are, anything else as JSON."""
    if not isinstance(content, (bytes, str)):
        content = json.dumps(content, ensure_ascii=False)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return examine(str(folder / name), **options)


def answers(corpus: Corpus) -> list[list[tuple[str, int]]]:
    return [[(one.text, one.start) for one in example.answers] for example in corpus.examples]


def kinds(corpus: Corpus) -> list[str]:
    return [defect.kind for defect in corpus.defects]


@pytest.mark.parametrize(
    "cell",
    [
        "{'text': array(['1841'], dtype=object), 'answer_start': array([16])}",
        "{'answer_start': array([16]), 'text': array(['1841'], dtype='<U4')}",
        "[{'text': '1841', 'answer_start': np.int64(16)}]",
        "array([{'text': '1841', 'answer_start': 16}], dtype=object)",
        "['1841']",
    ],
)
def test_8_numpys_text_of_answers(cell: str, tmp_path: Path) -> None:
    corpus = read(tmp_path, table(["id", "context", "question", "answers"], ["1", MILL, "When?", cell]), "a.csv")
    assert answers(corpus) == [[("1841", 16)]] and not corpus.defects


def test_8_two_texts_are_no_single_one(tmp_path: Path) -> None:
    text = table(["id", "context", "question", "answers"], ["1", MILL, "When?", "['1841' 'in 1841']"])
    assert answers(read(tmp_path, text, "a.csv")) == [[("1841", 16), ("in 1841", 13)]]


@pytest.mark.parametrize(
    "given",
    [
        *([{"text": "", "answer_start": start}] for start in (0, -1, None)),
        *([{"text": text, "answer_start": -1}] for text in ("N/A", "no answer")),
        [{"text": [], "answer_start": []}],
        [{"text": None, "answer_start": None}],
        [{"text": "", "start": -1, "end": -1}],
        {"text": [""], "answer_start": [-1]},
        {"text": None},
        [{}],
        {},
        [[]],
        [""],
        "",
        None,
    ],
)
def test_9_no_answer_in_every_form(given: Any, tmp_path: Path) -> None:
    row = {"id": "1", "question": "Who?", "is_impossible": True, "answers": given}
    for content in ([{**row, "context": MILL}], [{"context": MILL, "qas": [row]}]):
        if content[0].get("qas") and given == "":
            continue  # nested SQuAD has lists of answers
        corpus = read(tmp_path, content)
        assert answers(corpus) == [[]] and not corpus.defects


def test_9_an_answer_beside_an_empty_one_is_a_contradiction(tmp_path: Path) -> None:
    given = [{"text": "", "answer_start": 0}, {"text": "Ada", "answer_start": 0}]
    row = {"id": "1", "question": "Who?", "context": MILL, "is_impossible": True, "answers": given}
    assert kinds(read(tmp_path, [row])) == ["contradiction"]


@pytest.mark.parametrize(
    "content",
    [
        [PARAGRAPH],
        [{"title": "t", "paragraphs": [PARAGRAPH]}],
        PARAGRAPH,
        {"data": [PARAGRAPH]},
        {"data": {"paragraphs": [PARAGRAPH]}},
        {"mill": PARAGRAPH},
        [[PARAGRAPH]],
        [{"version": "1", "data": [PARAGRAPH]}],
        [{"data": [{"title": "t", "paragraphs": [PARAGRAPH]}]}],
        [[ROW]],
    ],
)
def test_10_articles_and_paragraphs(content: Any, tmp_path: Path) -> None:
    for name, text in (("a.json", json.dumps(content)), ("a.jsonl", json.dumps(content, indent=1))):
        corpus = read(tmp_path, text, name)
        assert answers(corpus) == [[("1841", 16)]] and not corpus.defects
    assert answers(read(tmp_path, gzip.compress(json.dumps(content).encode()), "a.json.gz")) == [[("1841", 16)]]


def test_10_files_in_one_list_are_read_one_after_another(tmp_path: Path) -> None:
    other = {"context": MILL, "qas": [{**QUESTION, "id": "2", "answers": []}]}
    for content in ([{"data": [PARAGRAPH]}, {"data": [other]}], [[PARAGRAPH], [other]]):
        corpus = read(tmp_path, content)
        assert [(one.id, len(one.answers)) for one in corpus.examples] == [("1", 1), ("2", 0)]
    broken = read(tmp_path, [[PARAGRAPH], [{**PARAGRAPH, "qas": [{**QUESTION, "id": "2", "question": ""}]}]])
    assert broken.defects[0].where == "[1][0].qas[0]"


@pytest.mark.parametrize(
    ("context", "text", "start"),
    [
        ("Das Rathaus ist ein haus.", "haus", 20),
        ("Talossa on talo.", "talo", 11),
        ("Dell'arte povera, e Marte: arte!", "arte", 27),
        ("한국어를 배운 한국 사람", "한국", 8),
        ("والكتاب كتاب", "كتاب", 8),
        ("नदियाँ और नदी", "नदी", 10),
        ("コンピュータのピュー", "ピュー", 7),
        ("他住在北京市海淀区", "北京", 3),
        ("pi is 3.14, not 14", "14", 16),
        ("5km or 5", "5", 7),
        ("foo_bar and bar", "bar", 12),
    ],
)
def test_11_an_answer_is_a_word(context: str, text: str, start: int, tmp_path: Path) -> None:
    corpus = read(tmp_path, table(["question", "context", "answer"], ["Q?", context, text]), "a.csv")
    assert answers(corpus) == [[(text, start)]] and not corpus.defects


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ("Little is known of the mill.", "no"),
        ("Das Rathaus wurde gebaut.", "haus"),
        ("Подмосковье и Москва", "Моск"),
        ("It cost 1,500 euros", "500"),
        ("cafe\u0301 bar", "cafe"),
        ("हिन्दी", "हिन"),
    ],
)
def test_11_inside_a_word_is_said_and_never_a_repair(context: str, text: str, tmp_path: Path) -> None:
    corpus = read(tmp_path, table(["question", "context", "answer"], ["Q?", context, text]), "a.csv")
    assert answers(corpus) == [[(text, context.index(text))]] and kinds(corpus) == ["inside-word"]
    corpus = read(
        tmp_path, table(["question", "context", "answer", "answer_start"], ["Q?", context, text, "99"]), "a.csv"
    )
    assert kinds(corpus) == ["answer-offset"] and corpus.defects[0].repair is None


HEAD = ["id", "question", "context", "answer", "answer_start"]
BOTH = [[("1841", 16), ("in 1841", 13)]]


@pytest.mark.parametrize("ids", [("", ""), ("7", "7"), ("7", ""), ("", "7"), ("7", "8")])
def test_13_rows_of_one_question(ids: tuple[str, str], tmp_path: Path) -> None:
    first, second = [ids[0], "When?", MILL, "1841", "16"], [ids[1], "When?", MILL, "in 1841", "13"]
    between = ["9", "Who?", MILL, "Ada", "0"]
    for rows in ([first, second], [first, between, second]):
        corpus = read(tmp_path, table(HEAD, *rows), "a.csv")
        assert answers(corpus) == [*BOTH, [("Ada", 0)]][: len(rows) - 1] and kinds(corpus) == ["joined-rows"]
        assert corpus.counts["rows joined"] == 1
        assert len(read(tmp_path, table(HEAD, *rows), "a.csv", rows="separate").examples) == len(rows)


@pytest.mark.parametrize("given", [{}, {"id": "7"}])
def test_13_rows_of_lists(given: dict[str, str], tmp_path: Path) -> None:
    rows = [
        {**given, "question": "When?", "context": MILL, "answers": {"text": [text], "answer_start": [start]}}
        for text, start in BOTH[0]
    ]
    corpus = read(tmp_path, rows)
    assert answers(corpus) == BOTH and kinds(corpus) == ["joined-rows"]
    twice = read(tmp_path, [rows[0], rows[0]])
    assert kinds(twice) == (["duplicate-id"] if given else [])  # a repeated question, of which the doctor tells


def test_13_white_space_makes_no_other_question(tmp_path: Path) -> None:
    rows = [["7", "When? ", MILL, "1841", "16"], ["7", "When?", f"{MILL}\n", "in 1841", "13"]]
    assert answers(read(tmp_path, table(HEAD, *rows), "a.csv")) == BOTH


@pytest.mark.parametrize("ids", [("7", "7"), ("", "")])
def test_13_an_answer_and_none_are_a_contradiction(ids: tuple[str, str], tmp_path: Path) -> None:
    rows = [[ids[0], "When?", MILL, "1841", "16", "0"], [ids[1], "When?", MILL, "", "", "1"]]
    for given in (rows, rows[::-1]):
        corpus = read(tmp_path, table([*HEAD, "is_impossible"], *given), "a.csv")
        assert kinds(corpus) == ["joined-rows", "contradiction"] and corpus.examples == ()


@pytest.mark.parametrize("said", ["1.0", "1", "t", "y", "Yes", "ja", "WAHR", "[true]", "['True']", "TRUE ", "1,0"])
@pytest.mark.parametrize("column", ["is_impossible", "Is Impossible", "isImpossible", "IS_IMPOSSIBLE"])
def test_14_a_plausible_answer_never_trains(said: str, column: str, tmp_path: Path) -> None:
    text = table(["id", "question", "context", "answer", column], ["1", "Who paid?", MILL, "Ada", said])
    assert kinds(read(tmp_path, text, "a.csv")) == ["contradiction"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("0.0", []),
        ("f", []),
        ("FALSCH", []),
        ("", []),
        ("perhaps", ["impossible-unreadable"]),
        ("2", ["impossible-unreadable"]),
    ],
)
def test_14_no_nothing_and_what_is_neither(said: str, kind: list[str], tmp_path: Path) -> None:
    text = table(["id", "question", "context", "answer", "is_impossible"], ["1", "Who?", MILL, "Ada", said])
    assert kinds(read(tmp_path, text, "a.csv")) == kind


def test_15_the_answers_of_an_annotation_tool(tmp_path: Path) -> None:
    head = ["question_id", "question", "document_id", "text", "answer_start", "is_impossible", "context"]
    corpus = read(tmp_path, table(head, ["5", "Who sold it?", "3", "Ada", "17", "False", SOLD]), "a.csv")
    assert [one.id for one in corpus.examples] == ["5"] and answers(corpus) == [[("Ada", 17)]]


def test_15_no_column_of_offsets_is_offered_for_the_answers(tmp_path: Path) -> None:
    for start, end in (("17", "20"), ("[17]", "[ 17 20]"), ("17.0", "20.0")):
        head = ["context", "question", "answer_start", "answer_end"]
        with pytest.raises(DataError, match="no column for the answers") as caught:
            read(tmp_path, table(head, [SOLD, "Who?", start, end]), "a.csv")
        assert "did you mean" not in str(caught.value)


def test_15_optional_parts_in_another_spelling_count(tmp_path: Path) -> None:
    text = table(["ID", "question", "context", "answer", "Answer Start"], ["z", "Who sold it?", SOLD, "Ada", "17"])
    corpus = read(tmp_path, text, "a.csv")
    assert answers(corpus) == [[("Ada", 17)]] and corpus.examples[0].id == "z"


@pytest.mark.parametrize("options", [{}, {"columns": ("context=text",)}])
def test_16_spans(options: dict[str, Any], tmp_path: Path) -> None:
    span = {"start": 17, "end": 20, "text": "Ada", "labels": ["Answer"]}
    corpus = read(tmp_path, [{"id": 1, "text": SOLD, "question": "Who sold it?", "answer": [span]}], **options)
    assert answers(corpus) == [[("Ada", 17)]] and not corpus.defects


def test_16_a_span_without_a_text_that_ends_inside_a_word_is_said(tmp_path: Path) -> None:
    for context, span in ((SOLD, [17, 19, "A"]), (f"🙂🙂 {SOLD}", [22, 25, "A"])):  # an inclusive end; UTF-16 units
        row = {"id": 1, "text": context, "question": "Who sold it?", "label": [span]}
        corpus = read(tmp_path, json.dumps(row), "a.jsonl")
        assert kinds(corpus) == ["inside-word"] and "inside 'Ada" in corpus.defects[0].detail
    whole = {"id": 1, "text": SOLD, "question": "Who sold it?", "label": [[17, 20, "A"]]}
    assert not read(tmp_path, json.dumps(whole), "a.jsonl").defects


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("start", "end"),
        ("start_offset", "end_offset"),
        ("startOffset", "endOffset"),
        ("start_char", "end_char"),
        ("begin", "stop"),
    ],
)
def test_16_spans_with_other_names(start: str, end: str, tmp_path: Path) -> None:
    row, places = {"id": 1, "text": SOLD, "question": "Who sold it?"}, {start: 17, end: 20}
    for span in ({**places, "text": "Ada"}, places, {**places, "labels": ["Answer"]}):
        assert answers(read(tmp_path, [{**row, "answer": [span]}])) == [[("Ada", 17)]]
    flat = {"id": "1", "context": SOLD, "question": "Who sold it?", "answer": "Ada", start: 17, end: 20}
    assert answers(read(tmp_path, [flat])) == [[("Ada", 17)]]
    text = table(list(flat), [str(value) for value in flat.values()])
    assert answers(read(tmp_path, text, "a.csv")) == [[("Ada", 17)]]
    other = table(list(flat), [*("1", SOLD, "Who?", "sold"), "3", "9"])  # a column of something else
    assert answers(read(tmp_path, other, "a.csv")) == [[("sold", 21)]]


@pytest.mark.parametrize("field", ["question", "context", "id", "answer"])
@pytest.mark.parametrize("bad", ["\ud83d", "\udcff"])
def test_19_half_a_surrogate_pair_in_a_file(field: str, bad: str, tmp_path: Path) -> None:
    row = {"id": "1", "question": "Who?", "context": MILL, "answer": "Ada"}
    text = json.dumps([{**row, field: row[field] + bad}])
    assert kinds(read(tmp_path, text)) == ["broken-unicode"]
    with pytest.raises(DataError, match="half a surrogate pair") as caught:
        load_corpus(str(tmp_path / "a.json"))
    str(caught.value).encode()


def test_19_a_title_or_a_name_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    row = {"id": "1", "question": "Who?", "context": MILL, "answer": "Ada", "title": "a\ud83d", "\ud83d": "x"}
    corpus = read(tmp_path, json.dumps([row]))
    assert answers(corpus) == [[("Ada", 0)]] and corpus.examples[0].title == ""
    with pytest.raises(DataError, match="no column for the question") as caught:
        read(tmp_path, json.dumps([{"\ud83d": "x"}]))
    str(caught.value).encode()


@pytest.mark.parametrize(
    "names",
    [
        ("answers.text", "answers.answer_start"),
        ("answers_text", "answers_answer_start"),
        ("answer.text", "answer.answer_start"),
        ("answers.text", "answers.start"),
        ("answers.text", "answer_start"),
        ("answers", "answer_start"),
        ("answer", "answer_start"),
    ],
)
@pytest.mark.parametrize(("text", "start"), [("['Ada']", "[17]"), ("Ada", "17"), ("['Ada' 'Ada']", "[17  0]")])
def test_21_answers_in_two_columns(names: tuple[str, str], text: str, start: str, tmp_path: Path) -> None:
    content = table(["id", "question", "context", *names], ["1", "Who sold it?", SOLD, text, start])
    expected = [("Ada", 17), ("Ada", 0)][: text.count("Ada")]
    assert answers(read(tmp_path, content, "a.csv")) == [expected]


@pytest.mark.parametrize("index", ["answers.text.0", "answers[0].text", "answers.0.text"])
def test_21_the_advice_works_when_it_is_followed(index: str, tmp_path: Path) -> None:
    head = ["id", "question", "context", index, index.replace("text", "answer_start")]
    content = table(head, ["1", "Who sold it?", SOLD, "Ada", "17"])
    with pytest.raises(DataError, match="did you mean") as caught:
        read(tmp_path, content, "a.csv")
    column = str(caught.value).partition("did you mean '")[2].partition("'")[0]
    assert answers(read(tmp_path, content, "a.csv", columns=(f"answers={column}",))) == [[("Ada", 17)]]


@pytest.mark.parametrize("orient", ["columns", "index", "records", "split", "table"])
def test_22_what_pandas_writes(orient: Any, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    text = pandas.DataFrame([ROW, {**ROW, "id": "2"}]).to_json(orient=orient)
    for content, name in ((text, "a.json"), (gzip.compress(text.encode()), "a.json.gz"), (f"{text}\n\n", "a.jsonl")):
        corpus = read(tmp_path, content, name)
        assert [one.id for one in corpus.examples] == ["1", "2"] and not corpus.defects


def test_22_columns_of_a_dataset(tmp_path: Path) -> None:
    columns = {name: [value] for name, value in ROW.items()}
    other = {**columns, "id": ["2"]}
    for content, name in ((columns, "a.json"), ({"train": columns}, "a.json"), (columns, "a.jsonl")):
        assert answers(read(tmp_path, content, name)) == [[("1841", 16)]]
    lines = "\n".join(json.dumps(one) for one in (columns, other))
    assert [one.id for one in read(tmp_path, lines, "a.jsonl").examples] == ["1", "2"]


def test_23_json_whatever_its_name_and_its_lines(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "id": "2"}]
    lines, pretty = "\n".join(map(json.dumps, rows)), "\n".join(json.dumps(row, indent=2) for row in rows)
    for text in (
        lines,
        pretty,
        json.dumps(rows),
        lines.replace("\n", "\r\n"),
        f"\ufeff{lines}",
        "".join(map(json.dumps, rows)),
    ):
        for name in ("a.jsonl", "a.json", "a.ndjson", "a.csv"):
            corpus = read(tmp_path, text, name)
            assert [one.id for one in corpus.examples] == ["1", "2"] and not corpus.defects
    row = {"q": "When?", "c": MILL, "a": "1841"}
    columns = ("question=q", "context=c", "answer=a")
    assert answers(read(tmp_path, json.dumps(row), "a.json", columns=columns)) == [[("1841", 16)]]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_23_a_csv_named_json(mark: str, tmp_path: Path) -> None:
    text = f"id,question,context,answer\n1,When?,{MILL},1841\n".replace(",", mark)
    for name in ("a.json", "a.jsonl", "a.csv", "a.tsv"):
        assert answers(read(tmp_path, text, name)) == [[("1841", 16)]]
        assert answers(read(tmp_path, gzip.compress(text.encode()), f"{name}.gz")) == [[("1841", 16)]]


def test_23_names_in_brackets_are_a_csv(tmp_path: Path) -> None:
    text = f"[id],[frage],[text],[answer]\n1,When?,{MILL},1841\n"
    with pytest.raises(DataError, match="no column for the question"):
        read(tmp_path, text, "a.csv")
    columns = ("question=[frage]", "context=[text]", "answer=[answer]")
    assert answers(read(tmp_path, text, "a.csv", columns=columns)) == [[("1841", 16)]]
