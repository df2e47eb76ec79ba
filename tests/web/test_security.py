"""Who is let in, what the headers say, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from made_panel import Make, of
from werkzeug.test import TestResponse

import spantune.web
from spantune.config import ServeConfig
from spantune.errors import ConfigError

FORM = {"question": "When?", "context": "In 1832."}
TOKEN = "sixteen letters!"
WEB = Path(spantune.web.__file__).parent


def pages(client: FlaskClient) -> list[str]:
    """Every address without parameters that can be read."""
    rules = client.application.url_map.iter_rules()  # type: ignore[attr-defined]
    return sorted({one.rule for one in rules if "GET" in (one.methods or ()) and not one.arguments})


def test_every_response_has_the_headers(client: FlaskClient) -> None:
    addresses = [*pages(client), "/static/style.css", "/no-such-page", "/api/no-such-address"]
    assert {"/", "/documents", "/api", "/healthz", "/sign-in"} <= set(addresses)
    for address in addresses:
        headers = client.get(address).headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY", address
        policy = dict(one.strip().partition(" ")[::2] for one in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'", address
        assert policy["style-src"] == policy["img-src"] == "'self'" and policy["frame-ancestors"] == "'none'", address


def test_a_browser_keeps_pages_for_its_back_button_and_no_secrets(make: Make) -> None:
    own, open_to_all = make(), make(host="0.0.0.0", token=TOKEN)
    knows = {"Authorization": f"Bearer {TOKEN}"}
    document = {"question": "When?", "text": "In 1832."}

    def kept(response: TestResponse) -> str:
        return response.headers["Cache-Control"]

    for answer in (own.get("/"), own.post("/", data=FORM), own.post("/documents", data=document), open_to_all.get("/")):
        assert answer.status_code == 200 and kept(answer) == "private, no-cache"
    for client, address in ((own, "/api/methods"), (own, "/healthz"), (own, "/sign-in"), (open_to_all, "/documents")):
        assert kept(client.get(address)) == "no-store", address
    for headers in ({}, knows):
        assert kept(open_to_all.post("/documents", data=document, headers=headers)) == "no-store"
        assert kept(open_to_all.get("/corrections/export", headers=headers)) == "no-store"


def test_no_page_needs_what_the_policy_forbids(client: FlaskClient) -> None:
    texts = {one: client.get(one).text for one in pages(client)}
    texts |= {one.name: one.read_text(encoding="utf-8") for one in (WEB / "templates").glob("*.html")}
    assert len(texts) > 15
    for name, text in texts.items():
        assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", text), name
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text), f"{name}: something from elsewhere"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:80"])
def test_the_own_name_is_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[", "10.0.0.1"])
def test_another_name_is_refused_on_loopback(client: FlaskClient, host: str) -> None:
    """DNS rebinding."""
    for address in ("/", "/api/methods", "/static/style.css"):
        assert client.get(address, headers={"Host": host}).status_code in (400, 421)


def test_names_of_ones_own(make: Make) -> None:
    client = make(names=("qa.example.org",))
    assert client.get("/healthz", headers={"Host": "QA.example.org"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "other.example.org"}).status_code == 421
    assert make(host="0.0.0.0").get("/healthz", headers={"Host": "anything"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
    ],
)
def test_what_a_page_of_another_site_sends_is_refused(
    client: FlaskClient, headers: dict[str, str], status: int
) -> None:
    for address in ("/", "/?part=results", "/documents"):
        data = FORM | {"text": FORM["context"]}
        assert client.post(address, data=data, headers=headers).status_code == status
    body = {"questions": [FORM]}
    assert client.post("/api/answer", json=body, headers=headers).status_code == status
    assert client.get("/", headers=headers).status_code == 200, "a link from elsewhere may lead here"


def test_on_this_machine_alone_nobody_is_asked_for_a_token(make: Make) -> None:
    client = make()
    assert of(client.application).token is None and client.get("/documents").status_code == 200
    assert ServeConfig().loopback and not ServeConfig(proxy="127.0.0.1").loopback
    assert not ServeConfig(host="0.0.0.0").loopback and not ServeConfig(names=("x.org",)).loopback


def test_where_others_come_in_documents_need_the_token(make: Make) -> None:
    client = make(host="0.0.0.0", token=TOKEN)
    asked = client.get("/documents")
    assert asked.status_code == 302 and asked.location == "/sign-in?next=/documents"
    form = {"question": "When?", "text": "In 1832."}
    refused = client.post("/documents", data=form)
    assert refused.status_code == 401 and "Bearer" in refused.headers["WWW-Authenticate"]
    assert TOKEN not in refused.text
    for wrong in ("Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"):
        assert client.post("/documents", data=form, headers={"Authorization": wrong}).status_code == 401
    assert client.post("/documents", data=form, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.post("/", data=FORM).status_code == 200, "questions need none"


def test_a_token_is_made_where_none_is_given(make: Make) -> None:
    tokens = {of(make(host="0.0.0.0").application).token for _ in range(2)}
    assert len(tokens) == 2 and all(one and len(one) >= 32 for one in tokens)
    with pytest.raises(ConfigError, match="token: expected 16 characters or more, found 5"):
        ServeConfig(token="short")


def test_tokens_cannot_be_tried_without_end(make: Make) -> None:
    client = make(host="0.0.0.0", token=TOKEN, questions_per_minute=3)
    tried = [client.post("/sign-in", data={"token": f"wrong {one}"}).status_code for one in range(4)]
    assert tried == [401, 401, 401, 429]


def test_bearer_tokens_cannot_be_tried_without_end(make: Make) -> None:
    client = make(host="0.0.0.0", token=TOKEN, questions_per_minute=0)
    form = {"question": "When?", "text": "In 1832."}

    def sent(token: str) -> TestResponse:
        return client.post("/documents", data=form, headers={"Authorization": f"Bearer {token}"})

    assert {sent(TOKEN).status_code for _ in range(40)} == {200}, "right ones are not counted"
    assert [sent(f"wrong {one}").status_code for one in range(31)] == [401] * 30 + [429]
    refused = sent(TOKEN)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1, "else it would tell them apart"
    assert "At most 30 wrong tokens a minute" in refused.text
    assert client.post("/sign-in", data={"token": TOKEN}).status_code == 429
    other = {"REMOTE_ADDR": "192.0.2.1"}
    assert client.post("/sign-in", data={"token": TOKEN}, environ_base=other).status_code == 302


def test_signing_in(make: Make) -> None:
    client = make(host="0.0.0.0", token=TOKEN)
    wrong = client.post("/sign-in", data={"token": "wrong", "next": "/documents"})
    assert wrong.status_code == 401 and "not the token" in wrong.text
    assert client.get("/documents").status_code == 302
    right = client.post("/sign-in", data={"token": f" {TOKEN}\n", "next": "/documents"})
    assert right.status_code == 302 and right.location == "/documents"
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    with_tls = client.post("/sign-in", data={"token": TOKEN}, base_url="https://localhost").headers["Set-Cookie"]
    assert "Secure" in with_tls and "Secure" not in cookie
    assert client.get("/documents").status_code == 200
    other = make(host="0.0.0.0", token="another sixteen letters")
    other.set_cookie("spantune", cookie.split("=", 1)[1].split(";")[0])
    assert other.get("/documents").status_code == 302, "a cookie of another server"


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\/evil.example", "evil", "", "/a\nb", "//["],
)
def test_signing_in_leads_nowhere_else(make: Make, target: str) -> None:
    client = make(host="0.0.0.0", token=TOKEN)
    assert client.post("/sign-in", data={"token": TOKEN, "next": target}).location == "/"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/__init__.py",
        "/static//etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/?example=../../etc/passwd",
    ],
)
def test_no_address_reaches_the_file_system(client: FlaskClient, path: str) -> None:
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code in (200, 404)
    assert "root:" not in answer.text and "create_app" not in answer.text


def test_too_many_questions_of_one_client(make: Make) -> None:
    client = make(questions_per_minute=2)
    assert [client.post("/", data=FORM).status_code for _ in range(3)] == [200, 200, 429]
    refused = client.post("/api/answer", json={"questions": [FORM]})
    assert refused.status_code == 429 and refused.json["title"] == "Too many questions"  # type: ignore[index]
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert client.get("/").status_code == 200, "pages are no questions"
    other = client.post("/", data=FORM, environ_base={"REMOTE_ADDR": "10.1.1.1"})
    assert other.status_code == 200
    assert ServeConfig().rate == 0 and ServeConfig(host="0.0.0.0").rate == 600
