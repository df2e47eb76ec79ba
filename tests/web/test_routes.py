"""The JSON API: answers, limits, problems, and schemathesis against its own description."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from made_panel import FakePanel, FakeSource, Make

EXAMPLES, ALL = {"GET": 2, "POST": 20}, list(HealthCheck)
CONTEXT = "Ada built the mill in 1832."
QUESTION = {"question": "When?", "context": CONTEXT}


def ask(client: FlaskClient, *questions: dict[str, Any], **more: Any) -> Any:
    answer = client.post("/api/answer", json={"questions": questions or [QUESTION], **more})
    assert answer.status_code == 200, answer.text
    return answer.json


def refused(answer: Any, status: int, title: str | None = None) -> dict[str, Any]:
    """The problem's members, after checking its form."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= set(answer.json) and answer.json["status"] == status
    assert title is None or answer.json["title"] == title
    return answer.json  # type: ignore[no-any-return]


def test_the_models_are_listed(client: FlaskClient) -> None:
    found = client.get("/api/methods").json
    assert found["ready"] is True  # type: ignore[index]
    assert [one["name"] for one in found["models"]] == ["numbers", "words", "careful"]  # type: ignore[index]
    assert [one["squad_v2"] for one in found["models"]] == [False, False, True]  # type: ignore[index]


def test_one_question_to_every_model(client: FlaskClient) -> None:
    found = ask(client)
    (answer,) = found["answers"]
    assert answer["id"] == "0" and list(answer["models"]) == ["numbers", "words", "careful"]
    number = answer["models"]["numbers"]
    assert CONTEXT[number["start"] : number["end"]] == number["answer"] == "1832"
    assert number["probability"] == 0.625 and number["score"] is None
    assert [one["text"] for one in number["n_best"]] == ["1832", "Ada built the mill in 1832"]
    assert found["timing"]["words"] == {"milliseconds": 12.5, "questions": 1}


def test_many_questions_keep_their_order_and_their_names(client: FlaskClient) -> None:
    questions = [{"question": "?", "context": f"{n} words", "id": f"q{n}"} for n in range(9)]
    found = ask(client, *questions, models=["numbers"], n_best=1)
    assert [one["id"] for one in found["answers"]] == [f"q{n}" for n in range(9)]
    assert [one["models"]["numbers"]["answer"] for one in found["answers"]] == [str(n) for n in range(9)]
    assert all(len(one["models"]["numbers"]["n_best"]) == 1 for one in found["answers"])


def test_answers_are_scored_by_the_rules_of_each_model(client: FlaskClient) -> None:
    questions = [
        {**QUESTION, "answers": ["in 1832", "never"]},
        {"question": "?", "context": "Nothing", "answers": []},
    ]
    scores = [
        {name: one["score"] for name, one in answer["models"].items()} for answer in ask(client, *questions)["answers"]
    ]
    assert scores[0]["numbers"] == {"em": 0.0, "f1": pytest.approx(2 / 3), "missed": ["in"], "added": []}
    assert scores[1]["careful"]["em"] == 1.0 and scores[1]["words"]["added"] == ["nothing"]


def test_places_count_code_points(client: FlaskClient) -> None:
    (answer,) = ask(client, {"question": "?", "context": "🎲🎲 42 🎲"}, models=["numbers"])["answers"]
    assert (answer["models"]["numbers"]["start"], answer["models"]["numbers"]["end"]) == (3, 5)


def test_a_look_inside(client: FlaskClient) -> None:
    found = client.post("/api/inspect", json={**QUESTION, "models": ["words"]}).json
    seen = found["models"]["words"]  # type: ignore[index]
    assert [one["text"] for one in seen["tokens"]] == ["Ada", "built", "the", "mill", "in", "1832"]
    assert seen["tokens"][0]["begins"] > 0.9 > seen["tokens"][1]["begins"]
    assert seen["won"] == 1 and len(seen["windows"]) == 2


TOO_LONG = "w" * 20_001


@pytest.mark.parametrize(
    ("body", "where", "said"),
    [
        ({}, "questions", "Field required"),
        ({"questions": []}, "questions", "at least 1 item"),
        ({"questions": [QUESTION] * 65}, "questions", "at most 64 items"),
        ({"questions": [QUESTION], "extra": 1}, "extra", "not permitted"),
        ({"questions": [{**QUESTION, "question": " "}]}, "questions[0].question", "is empty"),
        ({"questions": [QUESTION, {**QUESTION, "context": ""}]}, "questions[1].context", "is empty"),
        ({"questions": [{**QUESTION, "question": "w" * 1001}]}, "questions[0].question", "at most 1000 characters"),
        ({"questions": [{**QUESTION, "context": TOO_LONG}]}, "questions[0].context", "at most 20000 characters"),
        ({"questions": [{**QUESTION, "context": 5}]}, "questions[0].context", "valid string"),
        ({"questions": [{**QUESTION, "answers": ["w"] * 101}]}, "questions[0].answers", "at most 100 items"),
        ({"questions": [QUESTION], "n_best": 0}, "n_best", "greater than or equal to 1"),
        ({"questions": [QUESTION], "n_best": 21}, "n_best", "less than or equal to 20"),
        ({"questions": [QUESTION], "n_best": True}, "n_best", "valid integer"),
        ({"questions": [QUESTION], "models": ["nobody"]}, "models", "known: numbers, words, careful"),
        ({"questions": [QUESTION], "models": []}, "models", "at least 1 item"),
        ([], "body", "should be an object"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(client: FlaskClient, body: Any, where: str, said: str) -> None:
    problem = refused(client.post("/api/answer", json=body), 422)
    assert [one["where"] for one in problem["errors"]] == [where] and said in problem["errors"][0]["problem"]
    assert said in problem["detail"] and len(problem["detail"]) < 1000


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"questions": [{"question": "\\ud800", "context": "x"}]}'])
def test_what_is_no_json(client: FlaskClient, body: bytes) -> None:
    refused(client.post("/api/answer", data=body, content_type="application/json"), 422, "Not understood")


@pytest.mark.parametrize("text", ["a \0 b", "a \x1b[31m", "\x1c", "\x9f", " \n\u3000"])
def test_texts_that_no_encoder_reads(client: FlaskClient, text: str) -> None:
    for key in ("question", "context"):
        problem = refused(client.post("/api/answer", json={"questions": [{**QUESTION, key: text}]}), 422)
        assert [one["where"] for one in problem["errors"]] == [f"questions[0].{key}"]


def test_other_kinds_of_request(client: FlaskClient) -> None:
    refused(client.post("/api/answer", data=json.dumps({"questions": [QUESTION]})), 415)
    refused(client.post("/api/answer", data="x", content_type="text/plain"), 415)
    allowed = client.get("/api/answer")
    refused(allowed, 405)
    assert "POST" in allowed.headers["Allow"]
    refused(client.get("/api/nothing"), 404, "Not Found")


def test_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    body = json.dumps({"questions": [{**QUESTION, "context": "w" * 4_000_001}]})
    refused(client.post("/api/answer", data=body, content_type="application/json"), 413)


def test_nobody_learns_how_the_server_failed(make: Make) -> None:
    panel = FakePanel(fails=lambda example: ZeroDivisionError("secret"))
    client = make(FakeSource(panel))
    problem = refused(client.post("/api/answer", json={"questions": [QUESTION]}), 500)
    assert "secret" not in json.dumps(problem) and "ZeroDivision" not in json.dumps(problem)
    page = client.post("/", data=QUESTION)
    assert page.status_code == 500 and "secret" not in page.text and page.mimetype == "text/html"


def test_health_and_readiness(make: Make) -> None:
    client = make()
    assert client.get("/healthz").json == {"status": "alive", "broken": {}}
    assert client.get("/readyz").json == {"status": "ready", "models": ["numbers", "words", "careful"]}
    failed = make(FakeSource(ValueError("broken")))
    assert failed.get("/healthz").status_code == 200 and failed.get("/readyz").status_code == 503


@pytest.mark.parametrize(
    "body",
    ["[" * 200_000, '{"a":' * 200_000, '{"questions":' + "[" * 200_000, "1" * 100_000, "\0", '{"n_best": 1e400}'],
    ids=["lists", "objects", "questions", "digits", "NUL", "infinite"],
)
def test_json_that_is_deep_or_no_json_is_refused(client: FlaskClient, body: str) -> None:
    refused(client.post("/api/answer", data=body, content_type="application/json"), 422)


@pytest.mark.parametrize(
    "path",
    [
        *("/%00", "/explore/%00", "/explore/a%00b/files/%00", "/static/%00", "/static/a%00b.css", "/explore/%ff"),
        *("/corrections/mark?key=%00", "/corrections/mark?study=%00&place=0", "/static/..%2f..%2fapp.py"),
        "/explore/x/questions/" + "9" * 5_000,
    ],
)
def test_no_file_has_a_name_with_nul(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_broken_model_is_named_and_the_others_answer(make: Make) -> None:
    client = make(FakeSource(broken={"words": "adapter_model.safetensors: The file <b> is damaged."}))
    known = client.get("/api/methods").json
    assert known is not None and [model["name"] for model in known["models"]] == ["numbers", "careful"]
    reason = "adapter_model.safetensors: The file <b> is damaged."
    assert known["broken"] == [{"name": "words", "label": "Words <b>", "reason": reason}]
    assert client.get("/healthz").json == {"status": "alive", "broken": {"words": reason}}
    assert client.get("/readyz").json == {"status": "ready", "models": ["numbers", "careful"]}
    answered = client.post("/api/answer", json={"questions": [QUESTION]})
    assert answered.status_code == 200 and list(answered.json["answers"][0]["models"]) == ["numbers", "careful"]  # type: ignore[index]
    problem = refused(client.post("/api/answer", json={"questions": [QUESTION], "models": ["words"]}), 422)
    assert problem["detail"] == f"The model 'words' cannot answer: {reason}"
    for page in (client.get("/").text, client.get("/api").text, client.post("/", data=QUESTION).text):
        assert "<b>Words &lt;b&gt;</b> cannot answer: adapter_model.safetensors: The file &lt;b&gt; is damaged." in page
        assert 'value="words"' not in page


def test_the_page_and_the_document_name_every_operation(client: FlaskClient) -> None:
    document = client.get("/api/openapi.json").json
    assert document["openapi"].startswith("3.1")  # type: ignore[index]
    rules = {rule.rule for rule in client.application.url_map.iter_rules() if rule.rule.startswith("/api/")}  # type: ignore[attr-defined]
    assert set(document["paths"]) == rules - {"/api/openapi.json"}  # type: ignore[index]
    page = client.get("/api").text
    assert all(path in page for path in document["paths"])  # type: ignore[index]
    question = document["components"]["schemas"]["Question"]["properties"]  # type: ignore[index]
    assert question["context"]["maxLength"] == 20_000, "limits are those of the settings"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/methods"), ("POST", "/api/answer"), ("POST", "/api/inspect")]
)
def test_schemathesis_finds_nothing(make: Make, method: str, path: str) -> None:
    """Generated requests, right and wrong ones: every answer is as the document says."""
    schemathesis = pytest.importorskip("schemathesis")  # seconds
    client = make(max_context=60, max_question=30, max_questions=3)
    operation = schemathesis.openapi.from_wsgi("/api/openapi.json", client.application)[path][method]
    seen: set[int] = set()
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    for mode in modes if method == "POST" else modes[:1]:  # a request without a body has nothing to be wrong in

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES[method], deadline=None, database=None, derandomize=True, suppress_health_check=ALL
        )
        def check(case: Any) -> None:
            answer = case.call_and_validate()
            seen.add(answer.status_code)

        check()
    assert 200 in seen and (method == "GET" or seen & {415, 422})
