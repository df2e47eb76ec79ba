"""Corrections over HTTP: marked by offset or by words alone, several places, hostile texts, token, other sites."""

import html
import json
import re
import time

import pytest
from made_studies import ANSWERS, RIVER, ROWS, question_row, served, write_study

from spantune.data import load_corpus
from spantune.web.corrections import FILE

CRLF = "First line.\r\nThe 𝒢ödel prize 🎲 goes\rto two.\nLast line 🎲 here."
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Corrections are kept elsewhere: it stays as it is."""
    rows = (*ROWS, question_row("crlf", "Which prize?", CRLF, "𝒢ödel"))
    answers = {name: [[*run, "two"] for run in runs] for name, runs in ANSWERS.items()}
    return write_study(tmp_path_factory.mktemp("studies") / "compare", rows, answers)


@pytest.fixture
def client(study, tmp_path):
    client = served([study], tmp_path / "kept")
    until = time.monotonic() + 60
    while "Refresh" in client.get("/explore/compare").headers and time.monotonic() < until:
        time.sleep(0.02)
    return client


def export(client, version, tmp_path):
    path = tmp_path / "export.json"
    path.write_bytes(client.get(f"/corrections/export?version={version}").data)
    return load_corpus(str(path)).examples


def context_of(page):
    """The context's text as a browser has it in its document."""
    inner = re.search(r'id="context"[^>]*>(.*?)</div>', page, re.DOTALL)[1]
    inner = re.sub(r"<[^>]*>", "", inner).replace("\r\n", "\n").replace("\r", "\n")  # what a parser does
    return html.unescape(inner.replace("&#13;", "\0")).replace("\0", "\r")


def test_a_marked_span_of_a_study_is_kept_and_given_out(client, tmp_path):
    page = client.get("/corrections/mark?study=compare&place=4").text
    assert context_of(page) == CRLF, "what is selected there can be counted"
    form = {"study": "compare", "place": "4", "text": "🎲", "start": str(CRLF.rindex("🎲"))}
    answer = client.post("/corrections", data=form)
    assert answer.status_code == 303 and answer.location.startswith("/explore/compare/questions/4?changed=")
    (example,) = export(client, "v1.1", tmp_path)
    assert example.context == CRLF and example.question == "Which prize?" and example.title == "compare"
    assert [(one.text, one.start) for one in example.answers] == [("🎲", CRLF.rindex("🎲"))]
    listed = client.get("/corrections").text
    assert "Which prize?" in listed and "1 question with" in listed


def test_a_selection_over_line_breaks(client, tmp_path):
    """Browsers send every line break of a form as CR LF."""
    text = CRLF[CRLF.index("🎲 goes") : CRLF.index("two") + 3]
    sent = text.replace("\r", "\r\n")
    client.post("/corrections", data={"study": "compare", "place": "4", "text": sent, "start": str(CRLF.index("🎲"))})
    (example,) = export(client, "v1.1", tmp_path)
    assert example.answers[0].text == text and CRLF[example.answers[0].start :].startswith(text)


def test_a_correction_is_changed_letter_by_letter(client, tmp_path):
    client.post("/corrections", data={"study": "compare", "place": "4", "text": "two"})
    (target,) = re.findall(r'href="(/corrections/mark\?key=\w+)"', client.get("/corrections").text)
    page = client.get(target).text
    assert context_of(page) == CRLF
    (key,) = re.findall(r'name="key" value="(\w+)"', page.partition('class="none"')[0])
    client.post("/corrections", data={"key": key, "text": "prize"})
    (example,) = export(client, "v1.1", tmp_path)
    assert (example.context, example.answers[0].text, example.title) == (CRLF, "prize", "compare")
    assert client.get("/corrections/mark?key=00").status_code == 404


def test_words_without_a_place_are_looked_up(client, tmp_path):
    """What a page without scripts sends."""
    given = {"question": "Which mast?", "context": "One radio mast.\r\nAnother radio mast."}
    answer = client.post("/corrections", data={**given, "text": " One radio mast. "})
    assert answer.status_code == 303
    answer = client.post("/corrections", data={**given, "text": "radio mast"})
    assert answer.status_code == 422 and "several times" in answer.text
    assert re.findall(r'type="radio" name="start" value="(\d+)"', answer.text) == ["4", "24"]
    assert client.post("/corrections", data={**given, "text": "radio mast", "start": "24"}).status_code == 303
    (example,) = export(client, "v2.0", tmp_path)
    assert example.context == "One radio mast.\nAnother radio mast." and example.answers[0].start == 24
    answer = client.post("/corrections", data={**given, "text": "Rome"})
    assert answer.status_code == 422 and "is not in the context" in answer.text and ">\nRome<" in answer.text


def test_a_letter_of_a_long_text_is_not_asked_for(client):
    form = {"question": "?", "context": "w" * 20_000, "text": "w"}
    for address in ("/corrections", "/corrections/mark"):
        page = client.post(address, data=form).text
        assert "these words in 20,000 places" in page and 'type="radio"' not in page and len(page) < 100_000
    marked = client.post("/corrections/mark", data={**form, "start": "7"}).text
    assert '<input type="hidden" name="start" value="7">' in marked and "20,000 places" not in marked
    assert client.post("/corrections", data={**form, "start": "7"}).status_code == 303


def test_words_that_were_edited_after_marking_count(client, tmp_path):
    form = {"question": "?", "context": RIVER, "text": "North Sea", "start": "4"}
    assert client.post("/corrections", data=form).status_code == 303
    assert export(client, "v1.1", tmp_path)[0].answers[0].start == RIVER.index("North Sea")


def test_no_answer(client, tmp_path):
    form = {"study": "compare", "place": "0", "no_answer": "1", "text": "the Alps", "start": "21"}
    assert client.post("/corrections", data=form).status_code == 303
    (example,) = export(client, "v2.0", tmp_path)
    assert example.answers == () and example.context == RIVER
    assert json.loads(client.get("/corrections/export?version=v1.1").data)["data"] == []
    assert json.loads(client.get("/corrections/export").data)["version"] == "v2.0"
    assert "Corrected before: <i>no answer</i>" in client.get("/corrections/mark?study=compare&place=0").text
    assert client.post("/corrections", data={"study": "compare", "place": "0", "text": " "}).status_code == 422


def test_deleting(client):
    client.post("/corrections", data={"question": "?", "context": RIVER, "text": "Rhine"})
    (target,) = re.findall(r'action="(/corrections/\w+/delete)"', client.get("/corrections").text)
    assert client.get(target).status_code == 405
    assert client.post(target).status_code == 303
    assert client.post(target).status_code == 404
    assert "Nothing is corrected yet" in client.get("/corrections").text


def undo(client, page):
    """The page behind the button of a page."""
    form = re.search(r'<form method="post" action="(/corrections/\w+/undo)".*?</form>', page, re.DOTALL)
    sent = re.findall(r'name="(\w+)" value="([^"]*)"', form[0])
    return client.post(form[1], data={name: html.unescape(value) for name, value in sent}, follow_redirects=True)


def test_correcting_keeps_the_place_in_a_study_and_can_be_undone(client):
    query = "who=differ&wrong=LoRA&words=rhine"
    page = client.get(f"/explore/compare/questions/0?{query}").text
    link = html.unescape(re.search(r'href="(/corrections/mark[^"]*)"', page)[1])
    page = client.get(link).text
    assert f'href="/explore/compare/questions/0?{query}"'.replace("&", "&amp;") in page, "back to the question"
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.partition('class="none"')[0]))
    saved = client.post("/corrections", data={**fields, "text": "Rhine"})
    assert saved.location.startswith(f"/explore/compare/questions/0?{query}&changed=")
    page = client.get(saved.location).text
    assert "<strong>Saved.</strong>" in page and '<q dir="auto">Rhine</q>.' in page
    page = client.post("/corrections", data={**fields, "no_answer": "1"}, follow_redirects=True).text
    assert 'The correction is <i>no answer</i>, was <q dir="auto">Rhine</q>' in page
    answer = undo(client, page)
    assert answer.request.query_string.decode().startswith(query) and answer.request.path.endswith("/questions/0")
    assert "<strong>Undone.</strong>" in answer.text and ">Redo<" in answer.text
    assert '<q dir="auto">Rhine</q>' in client.get("/corrections").text
    assert "<i>no answer</i>" not in undo(client, page).text.partition(", was")[0], "that button is of an older page"
    assert "<i>no answer</i>" in undo(client, answer.text).text.partition(", was")[0]


def test_deleting_is_undone(client):
    for number in range(23):
        client.post("/corrections", data={"question": f"Number {number}?", "context": RIVER, "text": "Rhine"})
    page = client.get("/corrections?page=2").text
    target = re.findall(r'action="(/corrections/\w+/delete)"', page)[0]
    page = client.post(target, data={"page": "2"}, follow_redirects=True).text
    assert "<strong>Deleted.</strong>" in page and "22 questions" in page and "Page 2 of 2" in page
    page = undo(client, page).text
    assert "23 questions" in page and "Page 2 of 2" in page and page.count("/delete") == 3
    assert client.post("/corrections/00/undo").status_code == 404


def test_a_change_is_shown_to_those_alone_who_know_the_token(tmp_path):
    knows = {"Authorization": f"Bearer {TOKEN}"}
    client = served([write_study(tmp_path / "s", ROWS, ANSWERS)], tmp_path, host="0.0.0.0", token=TOKEN)
    client.get("/explore/s")
    until = time.monotonic() + 60
    while "Refresh" in client.get("/explore/s").headers and time.monotonic() < until:
        time.sleep(0.02)
    saved = client.post("/corrections", data={"study": "s", "place": "0", "text": "Rhine"}, headers=knows)
    assert "Saved." not in client.get(saved.location).text
    answer = client.get(saved.location, headers=knows)
    assert "Saved." in answer.text and answer.headers["Cache-Control"] == "no-store"
    assert client.post(f"/corrections/{saved.location.partition('changed=')[2]}/undo").status_code == 401


def test_the_list_has_pages(client):
    for number in range(23):
        client.post("/corrections", data={"question": f"Number {number}?", "context": RIVER, "text": "Rhine"})
    first, second = (client.get(f"/corrections?page={page}").text for page in (1, 2))
    assert first.count("/delete") == 20 and second.count("/delete") == 3
    assert "Number 22?" in first and "Number 0?" in second
    assert '<ol class="cards kept" start="21">' in second


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 422),
        ({"question": "?", "context": " "}, 422),
        ({"study": "compare", "place": "99"}, 404),
        ({"study": "../compare", "place": "0"}, 404),
        ({"question": "?" * 2_000, "context": "x"}, 413),
        ({"question": "?", "context": "x" * 300_000}, 413),
        ({"question": "?", "context": RIVER, "text": "Rhine", "start": "9" * 40}, 303),
    ],
)
def test_what_cannot_be_corrected_is_refused(client, form, status):
    assert client.post("/corrections", data={"text": "x", **form}).status_code == status
    assert client.get("/corrections/export?version=v3").status_code == 422


def test_a_study_whose_questions_are_gone_says_so(tmp_path):
    study = write_study(tmp_path / "s", ROWS, ANSWERS)
    (study / "questions.jsonl").unlink()
    client, until = served([study], tmp_path), time.monotonic() + 60
    while (answer := client.get("/corrections/mark?study=s&place=0")).status_code == 503 and time.monotonic() < until:
        time.sleep(0.02)
    assert answer.status_code == 409 and "The study cannot be read" in answer.text and "reported set" in answer.text


def test_a_store_that_cannot_be_read_is_no_mistake_of_the_reader(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    answer = served([], tmp_path).get("/corrections")
    assert answer.status_code == 500 and "The corrections cannot be read or written." in answer.text
    assert str(tmp_path) not in answer.text


def test_texts_are_escaped(client):
    hostile = '</textarea><script>alert(1)</script>"><mark>'
    form = {"question": hostile, "context": f"{hostile} {hostile}", "text": hostile}
    answers = [client.post("/corrections/mark", data=form), client.post("/corrections", data=form)]
    client.post("/corrections", data={**form, "start": "0"})
    for answer in (*answers, client.get("/corrections")):
        assert "<script>alert" not in answer.text and '"><mark>' not in answer.text


def test_who_has_to_sign_in_first_goes_on_where_he_was(tmp_path):
    client = served([], tmp_path, host="0.0.0.0", token=TOKEN)
    sent = {
        "question": "Where does it\nbegin?",
        "context": f"{RIVER}\r\nhttps://evil.example & more",
        "text": "the Alps",
    }

    def after_signing_in(address, form):
        refused = client.post(address, data=form)
        assert refused.status_code == 401
        link = html.unescape(re.search(r'href="(/sign-in\?next=[^"]*)"', refused.text)[1])
        hidden = re.search(r'name="next" value="([^"]*)"', client.get(link).text)[1]
        answer = client.post("/sign-in", data={"token": TOKEN, "next": html.unescape(hidden)})
        page = client.get(answer.location)
        client.delete_cookie("spantune")
        assert page.status_code == 200
        return answer.location, page.text

    for address in ("/corrections/mark", "/corrections"):
        location, page = after_signing_in(address, sent)
        assert location.startswith("/corrections/mark?"), address
        assert context_of(page) == sent["context"].replace("\r", "") and ">\nthe Alps</textarea>" in page
    long = {**sent, "context": "A long text. " * 900}
    for address, form in (("/corrections/mark", long), ("/corrections/00/delete", {})):
        assert after_signing_in(address, form)[0] == "/corrections"
    assert after_signing_in("/documents", {"question": "?", "text": RIVER})[0] == "/documents"
    assert "sign-in?next" not in client.post("/corrections", data=sent, headers={"Accept": "application/json"}).text


def test_other_sites_and_strangers_are_kept_out(tmp_path):
    form = {"question": "?", "context": RIVER, "text": "Rhine"}
    own = served([], tmp_path / "a")
    assert own.post("/corrections", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    open_to_all = served([], tmp_path / "b", host="0.0.0.0", token=TOKEN)
    for address in ("/corrections", "/corrections/export", "/corrections/mark?question=a&context=b"):
        answer = open_to_all.get(address)
        assert answer.status_code == 302 and answer.location.startswith("/sign-in?next="), address
    for address in ("/corrections", "/corrections/mark", "/corrections/00/delete"):
        assert open_to_all.post(address, data=form).status_code == 401, address
    knows = {"Authorization": f"Bearer {TOKEN}"}
    assert open_to_all.post("/corrections", data=form, headers=knows).status_code == 303
    assert b"Rhine" in open_to_all.get("/corrections/export", headers=knows).data
    open_to_all.post("/sign-in", data={"token": TOKEN})
    assert open_to_all.get("/corrections").status_code == 200
