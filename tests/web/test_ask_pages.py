"""The page that asks: what it shows, what it escapes, and that it works without a script."""

from __future__ import annotations

import html
import re
import threading
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from made_panel import FakePanel, FakeSource, Make, of

from spantune.errors import RunError
from spantune.web.answer_queue import RequestAnswers
from spantune.web.answer_scores import find_answers

CONTEXT = "Ada built the mill in 1832, and Ben the bridge in 1850."
ASKED = {"question": "When was the mill built?", "context": CONTEXT}


def card(page: str, label: str) -> str:
    """The text of a model's card, tags taken out."""
    cards = re.findall(r'<li class="card.*?</li>', page, re.DOTALL)
    (found,) = [one for one in cards if f"<h3>{html.escape(label)}</h3>" in one]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", found)).split())


def context_of(page: str) -> str:
    found = re.search(r'<p class="context[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]*>", "", found[1]))


def test_the_empty_form_names_every_model_and_offers_examples(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "Ask one question of 3 models" in page and 'class="card' not in page
    assert re.findall(r'name="model" value="(\w+)" checked', page) == ["numbers", "words", "careful"]
    assert "Words &lt;b&gt;" in page and "Words <b>" not in page
    assert len(re.findall(r'href="/\?example=\d+"', page)) == 6


def test_a_posted_question_is_answered_by_every_model(client: FlaskClient) -> None:
    page = client.post("/", data=ASKED).text
    assert "2 different answers" in page
    assert "1832" in card(page, "Numbers") and "62.5%" in card(page, "Numbers") and "12.5 ms" in card(page, "Numbers")
    assert " Ada " in card(page, "Words <b>")
    assert "no answer 0.0%" in card(page, "Careful"), "only a model of v2.0 has odds for no answer"
    assert "no answer" not in card(page, "Numbers")
    assert context_of(page) == CONTEXT
    assert re.search(r'class="mark lane-1 method-2"[^>]*><span class="mark lane-0 method-0"[^>]*>1832<', page)


def test_every_answer_leads_to_its_mark(client: FlaskClient) -> None:
    page = client.post("/", data=ASKED).text
    assert re.findall(r'class="mark lane-\d (method-\d)" data-method="\d" id="(mark-\d)"', page) == [
        ("method-1", "mark-1"),
        ("method-2", "mark-2"),
        ("method-0", "mark-0"),
    ]
    listed, cards = page.split('id="marked"')
    assert re.findall(r'href="#(mark-\d)"><bdi>(\w+)', listed) == [("mark-0", "1832"), ("mark-1", "Ada")]
    assert re.findall(r'href="#(mark-\d)"', cards) == ["mark-0", "mark-1", "mark-2"]
    cut = client.post("/", data={**ASKED, "context": "Ada built it", "answers": "built"}).text
    assert cut.count('method-0"') > 3 and cut.count('id="mark-0"') == 1, "it is called so where it begins"


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (0, None),
        (1, "Answered together with 1 other question: the milliseconds are for all 2."),
        (2, "Answered together with 2 other questions: the milliseconds are for all 3."),
    ],
)
def test_who_was_answered_together_shares_the_time(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, others: int, said: str | None
) -> None:
    answerer = of(client.application).answerer  # type: ignore[arg-type]
    ask = answerer.ask

    def in_company(*given: Any, **named: Any) -> dict[str, RequestAnswers]:
        return {name: replace(one, together=1 + others) for name, one in ask(*given, **named).items()}

    monkeypatch.setattr(answerer, "ask", in_company)
    page = client.post("/", data=ASKED).text
    assert said in page if said else "together" not in page


def test_no_answer_is_said_and_marked_nowhere(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "context": "Nothing here", "model": ["careful"]}).text
    assert "no answer" in card(page, "Careful") and "no answer 75.0%" in card(page, "Careful")
    assert 'class="mark' not in page


def test_only_the_chosen_models_answer(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "model": ["words", "unheard-of"]}).text
    assert page.count('<li class="card') == 1 and "Answered" in page
    assert re.findall(r'name="model" value="(\w+)" checked', page) == ["words"]


def test_no_model_is_chosen(client: FlaskClient) -> None:
    for sent in ({**ASKED, "choice": "1"}, {**ASKED, "choice": "1", "model": "unheard-of"}):
        refused = client.post("/", data=sent)
        assert refused.status_code == 422 and "Choose a model." in refused.text
        assert 'name="choice" value="1"' in refused.text and " checked" not in refused.text
    assert client.get("/", query_string=ASKED).text.count('<li class="card') == 3, "an address that names none: all"


def test_true_answers_score_each_model(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "answers": " in 1832 \r\n\r\n1832 AD\r\n"}).text
    assert "EM 0 F1 66.7" in card(page, "Numbers") and "missed: in" in card(page, "Numbers")
    assert "EM 0 F1 0.0" in card(page, "Words <b>") and "added: ada" in card(page, "Words <b>")
    exact = client.post("/", data={**ASKED, "answers": "the 1832!"}).text
    assert "✓ right EM 100 F1 100.0" in card(exact, "Numbers") and "missed" not in card(exact, "Numbers")


def heading(page: str) -> str:
    found = re.search(r'<h2 class="outcome">(.*?)</h2>', page, re.DOTALL)
    assert found is not None
    return " ".join(found[1].split())


def test_who_was_right_is_seen_at_a_glance(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "answers": "Ada"}).text
    assert heading(page) == "2 different answers, 1 of 3 right"
    listed = re.search(r'<ul class="opinions">(.*?)</ul>', page, re.DOTALL)
    assert listed is not None
    lines = [" ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in listed[1].split("</li>")[:-1]]
    assert lines == ["✓ right Ada F1 100.0 · Words &lt;b&gt;", "✗ wrong 1832 F1 0.0 · Numbers, Careful"], (
        "right ones first"
    )
    unknown = client.post("/", data=ASKED).text
    assert heading(unknown) == "2 different answers" and "verdict" not in unknown
    agreed = client.post("/", data={**ASKED, "model": ["numbers", "careful"], "answers": "1832"}).text
    assert heading(agreed) == "All 2 agree, 2 of 2 right"
    alone = client.post("/", data={**ASKED, "model": "numbers", "answers": "1832"}).text
    assert heading(alone) == "Answered", "its card says the rest"


def test_a_question_that_has_no_answer_can_be_scored(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "context": "Nothing here", "unanswerable": "1"}).text
    assert "✓ right" in card(page, "Careful") and "✗ not exact" in card(page, "Words <b>")


def test_accepted_answers_are_marked_in_the_context(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "answers": "mill"}).text
    assert re.search(r'class="piece gold" data-start="14">\s*mill', page)


@pytest.mark.parametrize(
    ("context", "gold", "marked"),
    [
        ("A party of art, Art and ART", "art", ["art", "Art", "ART"]),
        ("Ada Kern, or ADA\nKERN", "ada kern", ["Ada Kern", "ADA\nKERN"]),
        ("US$5, $5 and $50", "$5", ["$5", "$5"]),
        ("kilo 5 and 5kg", "5", ["5"]),
        ("caf\u0065\u0301 and cafe", "cafe", ["cafe"]),
        ("建于1832年，1832 年", "1832", ["1832", "1832"]),
        ("C++ (or C) is", "C", ["C", "C"]),
        ("a.b", "?", []),
    ],
)
def test_whole_words_are_marked_wherever_they_stand(context: str, gold: str, marked: list[str]) -> None:
    assert [context[start:end] for start, end in find_answers(context, [gold, "", " "])] == marked


def test_a_context_full_of_accepted_answers_is_shown_at_once(client: FlaskClient) -> None:
    letters = list("abcdefghijklmnopqrstuvwxyz")
    began = time.process_time()
    page = client.post("/", data={**ASKED, "context": " ".join(letters * 380), "answers": "\n".join(letters)}).text
    assert page.count('class="piece gold"') == 26 * 380 and time.process_time() - began < 6, "not by the square"


def test_a_link_asks_the_same_again(client: FlaskClient) -> None:
    data = {**ASKED, "answers": "1832\n1850", "model": ["words", "numbers"], "inside": "1"}
    page = client.post("/", data=data).text
    link = html.unescape(re.search(r'<a href="([^"]+)" id="link"', page)[1])  # type: ignore[index]
    assert parse_qs(urlsplit(link).query) == {
        **{key: [value] for key, value in ASKED.items()},
        "answers": ["1832\n1850"],
        "model": ["numbers", "words"],
        "inside": ["1"],
    }
    assert client.get(link).text == page


def test_a_context_too_long_for_a_link_says_so(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "context": CONTEXT * 200}).text
    assert "too long for a link" in page and 'id="link"' not in page


def test_an_example_is_asked_with_one_click(client: FlaskClient) -> None:
    example = of(client.application).examples[0]  # type: ignore[arg-type]
    page = client.get("/?example=0").text
    assert context_of(page) == example.context
    assert html.escape(example.answers[0].text) in page and page.count("EM ") == 3
    assert client.get("/random").location.startswith("/?example=")
    for nonsense in ("-1", "99999", "x"):
        assert 'class="card' not in client.get(f"/?example={nonsense}").text


def test_a_picture_of_another_site_asks_nothing(client: FlaskClient) -> None:
    for kind, asked in (("image", False), ("iframe", False), ("document", True)):
        page = client.get("/", query_string=ASKED, headers={"Sec-Fetch-Dest": kind}).text
        assert ('class="card' in page) is asked, kind


@pytest.mark.parametrize(("letters", "status"), [(900_000, 422), (1_100_000, 413)])
def test_a_megabyte_of_one_letter(client: FlaskClient, letters: int, status: int) -> None:
    answer = client.post("/", data={**ASKED, "context": "w" * letters})
    assert answer.status_code == status and answer.mimetype == "text/html"
    assert ("It has more than a request may hold." in answer.text) is (status == 413)


def test_the_script_gets_the_results_alone(client: FlaskClient) -> None:
    answer = client.post("/?part=results", data=ASKED)
    assert "<html" not in answer.text and answer.text.count('<li class="card') == 3
    refused = client.post("/?part=results", data={**ASKED, "question": " "})
    assert refused.status_code == 422 and "The question is empty." in refused.text and "<html" not in refused.text


def test_a_look_inside_shows_where_each_model_sees_the_answer(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "inside": "1"}).text
    table = re.search(r'<table class="strip">.*?</table>', page, re.DOTALL)
    assert table is not None and table[0].count("<tr><th scope") == 4, "a head, and a row for each model"
    cells = [" ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in re.findall(r"<td>(.*?)</td>", table[0])]
    assert cells.count("begins 91 ends 91") == 3
    assert "2 of 2" in page, "which window won"
    assert '<table class="strip">' not in client.post("/", data=ASKED).text


HOSTILE = (
    "<script>alert(1)</script>",
    "</mark></textarea></p><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }}",
    "a \u202etxet\u202c \u2066b\u2069 \u00ad c",
    "x" * 19_000,
    "\U0001f3b2 \u0301 \u200d \ufeff",
)


@pytest.mark.parametrize("text", HOSTILE, ids=["script", "closing tags", "quote", "template", "bidi", "long", "emoji"])
def test_every_text_is_shown_as_it_is(client: FlaskClient, text: str) -> None:
    page = client.post("/", data={"question": text[:900], "context": text, "answers": text, "inside": "1"}).text
    assert context_of(page) == text
    assert "<script>alert" not in page and "<img" not in page and "<svg" not in page and ">49<" not in page
    assert page.count("<textarea") == page.count("</textarea>") == 3
    tags = set(re.findall(r"<(\w+)", page))
    named = re.sub(r'"[^"]*"', '""', page)  # in texts quotes are escaped: what is left out is values of attributes
    assert not tags & {"style", "iframe", "object"} and not re.search(r"<[^>]*\s(on\w+|style)=", named)


@pytest.mark.parametrize(("text", "fault"), [("a\x07b", "holds a control character"), (" \n", "is empty")])
def test_texts_that_no_encoder_reads_are_refused(client: FlaskClient, text: str, fault: str) -> None:
    answer = client.post("/", data={**ASKED, "context": text})
    assert answer.status_code == 422 and f"The context {fault}." in answer.text


def test_controls_that_turn_text_around_are_named_and_shut_in(client: FlaskClient) -> None:
    page = client.post("/", data={**ASKED, "context": "1832 \u202egnp.exe"}).text
    assert '<span class="unseen" data-name="U+202E">\u202e</span>' in page


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"question": ""}, "The question is empty."),
        ({"context": "  \n"}, "The context is empty."),
        ({"question": "w" * 1001}, "The question is too long: at most 1,000 characters, found 1,001."),
        ({"context": "w" * 20_001}, "The context is too long: at most 20,000 characters, found 20,001."),
        ({"answers": "\n".join(map(str, range(101)))}, "At most 100 true answers, found 101"),
    ],
)
def test_what_cannot_be_answered_is_said_and_the_form_kept(
    client: FlaskClient, changed: dict[str, str], said: str
) -> None:
    answer = client.post("/", data={**ASKED, **changed})
    assert answer.status_code == 422 and said in answer.text and 'role="alert"' in answer.text
    kept = changed.get("context", CONTEXT)[:40].strip()
    assert kept in answer.text


def test_a_browser_cuts_nothing_off_and_what_is_too_long_leads_to_documents(make: Make) -> None:
    client = make(max_context=30, max_document=40)
    page = client.get("/").text
    assert "up to 30 characters; longer: Documents" in page
    assert "maxlength" not in page + client.get("/documents").text, "a browser cuts silently, and counts UTF-16 units"
    assert client.post("/", data={**ASKED, "context": "\U0001f3b2" * 30}).status_code == 200
    for path in ("/", "/?part=results"):
        refused = client.post(path, data={**ASKED, "context": "w" * 31})
        assert refused.status_code == 422 and '<a href="/documents">Ask it on Documents</a>' in refused.text
    assert "Ask it on Documents" not in client.post("/", data={**ASKED, "context": "w" * 41}).text, "too long for it"
    assert "longer:" not in make(max_context=40, max_document=40).get("/").text


def test_a_page_is_there_before_the_models_are(make: Make) -> None:
    class Slow(FakeSource):
        gate = threading.Event()

        def load(self) -> FakePanel:
            assert self.gate.wait(20)
            return FakePanel()

    source = Slow()
    client = make(source, wait=False)
    page = client.get("/", query_string=ASKED)
    assert page.status_code == 200 and "models are being loaded" in page.text and CONTEXT in page.text
    assert '<meta http-equiv="refresh"' in page.text, "the link is followed when the models are there"
    refused = client.post("/", data=ASKED)
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "2" and CONTEXT in refused.text
    assert '<meta http-equiv="refresh"' not in refused.text, "it would lead to an empty form"
    source.gate.set()
    assert of(client.application).answerer.wait_until_loaded(20)
    assert 'class="card' in client.get("/", query_string=ASKED).text


def test_models_that_cannot_be_loaded_are_reported(make: Make) -> None:
    client = make(FakeSource(panel=RunError("there is no trained model here", where="runs/x")))
    assert "could not be loaded: there is no trained model here" in client.get("/").text
    assert '<meta http-equiv="refresh"' not in client.get("/", query_string=ASKED).text, "they will not come"
    assert client.post("/", data=ASKED).status_code == 500
