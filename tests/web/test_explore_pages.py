"""The Explore pages: views as addresses, neighbours, hostile texts, files that may be read and no others."""

import csv
import html
import io
import re
import shutil
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from made_studies import ANSWERS, ROWS, question_row, served, write_study
from markupsafe import escape

from spantune.reports.write_report import read_report
from spantune.studies.report import run_folders

HOSTILE = "</mark><script>alert(1)</script> \u202eevil\u202c & <b>bold</b> ends here."


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("pages") / "compare", ROWS, ANSWERS)
    (folder / "report.html").write_text("<!doctype html><script>1</script>", encoding="utf-8")
    (folder / "plots").mkdir()
    (folder / "plots" / "f1_against_parameters.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def client(study, tmp_path_factory):
    client = served([study], tmp_path_factory.mktemp("kept"))
    when_read(client, "/explore/compare")
    return client


def when_read(client, address):
    """The page, once the index was read."""
    until = time.monotonic() + 60
    while "Refresh" in (found := client.get(address)).headers and time.monotonic() < until:
        time.sleep(0.02)
    assert found.status_code == 200, found.text
    return found.text


def headings(page):
    return re.findall(r"<h3[^>]*><a href=\"[^\"]*\">([^<]*)</a>", page)


def test_the_only_study_is_shown_at_once(client):
    answer = client.get("/explore")
    assert answer.status_code == 302 and answer.location == "/explore/compare"


def test_every_view_is_an_address(client):
    page = client.get("/explore/compare").text
    assert "4 questions, 3 methods" in page and len(headings(page)) == 4
    assert headings(client.get("/explore/compare?who=none").text) == ["When was it built?"]
    page = client.get("/explore/compare?right=Full+fine-tuning&wrong=LoRA&words=TOWER&kind=elsewhere").text
    assert headings(page) == ["Who built the tower?"]
    assert 'value="TOWER"' in page and '<option value="LoRA" selected>' in page, "the form says what is shown"
    assert "No question fits" in client.get("/explore/compare?words=zebra").text
    page = client.get("/explore/compare?slice=" + quote("question word: when")).text
    assert headings(page) == ["When was it built?"] and '<option value="question word: when" selected>' in page


def test_an_address_that_says_nonsense_shows_everything(client):
    for query in ("who=x&right=x&kind=x&slice=x:+y&order=x&page=x", "page=-3", "page=99999999999", "slice=:", "page=7"):
        assert len(headings(client.get(f"/explore/compare?{query}").text)) == 4, query


def test_a_question_has_its_context_with_every_answer_marked(client):
    page = client.get("/explore/compare/questions/0?order=data").text
    context = re.search(r'<div class="context[^>]*>(.*)</div>', page)[1]
    assert re.sub(r"<[^>]*>", "", context) == ROWS[0]["context"], "letter by letter"
    gold = re.findall(r'<span class="piece gold" data-start="21">', context)
    assert len(gold) == 1
    assert len(re.findall(r'class="mark ', context)) == 4, "of two methods here, a third one says 'from' as well; Sea"
    assert page.count('<tr data-method="') == 3 and "boundary" in page
    assert 'href="/explore/compare/questions/1?order=data"' in page and 'rel="prev"' not in page
    assert "/?question=Where+does+the+Rhine+begin?&amp;context=" in page.replace("%3F", "?"), "ask this now"
    assert "/corrections/mark?study=compare&amp;place=0" in page
    assert client.get("/explore/compare/questions/4").status_code == 404


def test_a_long_context_is_asked_by_a_form(tmp_path):
    rows = [question_row("long", "Where?", "word " * 3_000 + "here.", "here"), question_row("none", "Who?", "Nobody.")]
    client = served([write_study(tmp_path / "s", rows, {"lora": [["here", ""]]})], tmp_path)
    when_read(client, "/explore/s")
    page = client.get("/explore/s/questions/0").text
    assert 'name="context" value="word word' in page and 'name="answers" value="here"' in page
    assert 'href="/?question=Who?&amp;context=Nobody.&amp;unanswerable=1"' in client.get("/explore/s/questions/1").text


def test_neighbours_are_those_that_fit(client):
    page = client.get("/explore/compare/questions/2?who=differ&order=data").text
    assert "2 of 2" in page and 'rel="next"' not in page
    assert 'href="/explore/compare/questions/0?who=differ&amp;order=data"' in page
    page = client.get("/explore/compare/questions/3?who=differ").text
    assert 'rel="next"' not in page and 'rel="prev"' not in page, "it is not among them"


def test_the_overview_has_the_table_and_what_files_there_are(client):
    page = when_read(client, "/explore/compare/overview")
    assert page.count('<th scope="row">') == 3 and "Trainable" in page
    assert "/explore/compare/files/plots/f1_against_parameters.svg" in page and "f1_against_latency" not in page
    assert client.get("/explore/nothing/overview").status_code == 404


def test_the_overview_says_who_is_tied_as_the_studys_own_table(client, study):
    page = when_read(client, "/explore/compare/overview")
    rows = re.findall(r"<tr[^>]*>(<th.*?)</tr>", page.partition('<table class="scores">')[2])
    cells = [[html.unescape(one) for one in re.findall(r">([^<]*)</t[hd]>", row)] for row in rows]
    folders = run_folders(study)
    own = read_report(study, folders).table
    assert own.standings and cells[0][3:5] == ["95% of F1", "Tied"]
    assert cells == [
        ["Method", *(column.title for column in own.columns)],
        *([one.label, *(column.shown(one) for column in own.columns)] for one in own.groups),
    ]
    assert all(str(escape(note)) in page for note in own.notes)


def test_an_overview_without_the_questions_says_what_it_lacks(tmp_path):
    study = write_study(tmp_path / "s", ROWS, ANSWERS)
    (study / "questions.jsonl").unlink()
    page = when_read(served([study], tmp_path), "/explore/s/overview")
    assert "Without intervals and ties, because the reported set" in page and page.count('<th scope="row">') == 3


def test_a_report_is_sandboxed(client):
    answer = client.get("/explore/compare/files/report.html")
    assert answer.status_code == 200 and answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts;") and "allow-same-origin" not in policy
    assert client.get("/explore/compare/files/plots/f1_against_parameters.svg").mimetype == "image/svg+xml"


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "/etc/passwd", "%2fetc%2fpasswd", "questions.jsonl",
     "lora-0/record.json", "table.csv", "report.html/", "report.html%00", "plots", "plots/../report.html", "."],
)  # fmt: skip
def test_no_other_file_is_read(client, name):
    for study in ("compare", "..", "%2e%2e", "compare%2f.."):
        answer = client.get(f"/explore/{study}/files/{name}")
        assert answer.status_code in (308, 404), (study, name, answer.status_code)
        assert b"secret" not in answer.data


def test_a_link_out_of_the_study_is_none_of_its_files(tmp_path):
    study = write_study(tmp_path / "s", ROWS, ANSWERS)
    (tmp_path / "away" / "plots").mkdir(parents=True)
    (tmp_path / "away" / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "away" / "plots" / "f1_against_parameters.svg").write_text("secret", encoding="utf-8")
    for name in ("report.md", "table.csv"):
        (study / name).unlink(missing_ok=True)
        (study / name).symlink_to(tmp_path / "away" / "secret.txt")
    shutil.rmtree(study / "plots", ignore_errors=True)
    (study / "plots").symlink_to(tmp_path / "away" / "plots")
    (study / "inside.csv").write_text("method\nours\n", encoding="utf-8")
    (study / "errors.csv").unlink(missing_ok=True)
    (study / "errors.csv").symlink_to("inside.csv")
    client = served([study], tmp_path)
    for name in ("report.md", "table.csv", "plots/f1_against_parameters.svg"):
        answer = client.get(f"/explore/s/files/{name}")
        assert answer.status_code == 404 and b"secret" not in answer.data, name
        assert f"files/{name}" not in when_read(client, "/explore/s/overview")
    assert client.get("/explore/s/files/errors.csv").text == "method\nours\n", "a link inside is fine"


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    study = write_study(tmp_path / "s", ROWS, ANSWERS)
    cells = ["=1+1", "+1+1", "-1-cmd", "@SUM(A1)", "\t=1", "-1.5", "+2", "ours", '"=1, quoted"']
    (study / "table.csv").write_text("label\n" + "\n".join(cells) + "\n", encoding="utf-8")
    client = served([study], tmp_path)
    answer = client.get("/explore/s/files/table.csv")
    read = [row[0] for row in csv.reader(io.StringIO(answer.text))]
    assert read == ["label", "'=1+1", "'+1+1", "'-1-cmd", "'@SUM(A1)", "'\t=1", "-1.5", "+2", "ours", "'=1, quoted"]
    assert answer.mimetype == "text/csv" and "sandbox" in answer.headers["Content-Security-Policy"]
    again = client.get("/explore/s/files/table.csv", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_texts_of_the_data_are_escaped(tmp_path):
    rows = [question_row("<i>", "<img src=x onerror=alert(1)>?", HOSTILE, "evil")]
    client = served([write_study(tmp_path / "<b>", rows, {"lora": [["<b>bold</b>"]]})], tmp_path)
    listed = when_read(client, "/explore/%3Cb%3E")
    for page in (listed, client.get("/explore/%3Cb%3E/questions/0").text):
        assert "<script>alert" not in page and "<img" not in page and "<b>bold" not in page and "<b></h1>" not in page
    assert '<span class="unseen" data-name="U+202E">' in page


def test_several_studies_are_listed_and_none_is_said(tmp_path, study):
    other = write_study(tmp_path / "other", ROWS[:1], {"lora": [["the Alps"]]})
    page = served([study, other], tmp_path).get("/explore").text
    assert "/explore/compare" in page and "/explore/other" in page
    assert "No study is served" in served([], tmp_path).get("/explore").text


def test_a_study_without_its_questions_says_why(tmp_path):
    study = write_study(tmp_path / "s", ROWS, ANSWERS)
    (study / "questions.jsonl").unlink()
    page = when_read(served([study], tmp_path), "/explore/s")
    assert "cannot be shown, because the reported set" in page and "/explore/s/overview" in page


def test_a_study_is_explored_from_any_folder(tmp_path, monkeypatch):
    """Its runs name their questions as the command line did, from the folder that it was made in."""
    (tmp_path / "here").mkdir()
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    study = write_study(Path("studies/s"), ROWS, ANSWERS).resolve()
    monkeypatch.chdir(tmp_path / "here")
    assert "4 questions, 3 methods" in when_read(served([study], tmp_path), "/explore/s")
    (study / "questions.jsonl").unlink()
    page = when_read(served([study], tmp_path), "/explore/s")
    assert "(studies/s/questions.jsonl)" in page
    assert "Start the server in the folder where the study was made, or put the file there." in page


def test_a_method_looks_the_same_as_on_the_other_pages(client):
    """The served models stand in the order of their folders, the index in that of F1, looks in that of the registry."""
    page = client.get("/explore/compare/questions/0").text
    looks = dict(re.findall(r'<span class="swatch (method-\d)" aria-hidden="true"></span>([^<]+)</span></th>', page))
    assert {label: look for look, label in looks.items()} == {
        "Full fine-tuning": "method-0", "LoRA": "method-1", "(IA)³": "method-2",
    }  # fmt: skip
