"""Documents: what is read, what is refused, and where in them an answer stands."""

from __future__ import annotations

import html
import io
import re
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import psutil
import pytest
from flask.testing import FlaskClient
from made_panel import Make
from made_server import Running, until
from pypdf.errors import DependencyError

from spantune.errors import DataError
from spantune.web.documents import pdf_worker
from spantune.web.documents import read_document as reading
from spantune.web.documents.read_document import Document, pasted, read_document


@cache
def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF with a line of text a page."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): writer._add_object(font)})}
        )
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_texts_are_read_as_they_are() -> None:
    assert read_document("a.txt", b"\xef\xbb\xbfone\r\ntwo\rthree", 100).text == "one\ntwo\nthree"
    assert read_document("A.MD", "# Zwölf".encode(), 100) == Document("# Zwölf", "A.MD")
    assert pasted(" x ", 3).text == " x "


def test_a_pdf_is_read_page_by_page() -> None:
    document = read_document("a.pdf", pdf("The mill of 1832", "The bridge of 1850"), 1000)
    assert [document.place(document.text.index(one)) for one in ("mill", "bridge")] == ["page 1", "page 2"]
    assert document.place(len(document.text)) == "page 2"


def test_a_text_that_comes_back_out_of_a_form_has_the_same_digest() -> None:
    sent = read_document("a.txt", b"one\r\ntwo caf\xc3\xa9", 100)
    assert pasted("one\r\ntwo caf\xe9", 100).digest == sent.digest != pasted("one two", 100).digest


def test_lines_count_from_one() -> None:
    document = Document("one\ntwo\n\nfour")
    assert [document.place(at) for at in (0, 3, 4, 8, 9, 12)] == [
        "line 1",
        "line 1",
        "line 2",
        "line 3",
        "line 4",
        "line 4",
    ]


def test_surroundings_end_between_words() -> None:
    text = " ".join(f"word{number:04}" for number in range(200))
    start = text.index("word0100")
    first, behind = Document(text).around(start, start + 8)
    shown = text[first:behind].split()
    assert set(shown) <= set(text.split()) and "word0100" in shown and 40 < len(shown) < 70
    assert Document("short text").around(0, 5) == (0, 10)
    letters = Document("x" * 2000)
    first, behind = letters.around(1000, 1003)
    assert first <= 1000 and behind >= 1003 and behind - first < 600


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "the document is empty"),
        ("a.txt", b" \n\t", "the document is empty"),
        ("a.txt", b"caf\xe9", "not UTF-8 text"),
        ("a.txt", b"x" * 1001, "too long"),
        ("a.docx", b"PK\x03\x04", "this kind of file is not read"),
        ("a.html", b"<p>x</p>", "this kind of file is not read"),
        ("a.pdf", b"no pdf", "the PDF cannot be read"),
        ("a.pdf", b"%PDF-1.7\n" + b"\x00\xff" * 500, "the PDF cannot be read|the PDF has no text"),
        ("a.txt", b"%PDF-1.4 but no pdf", "the PDF cannot be read|the PDF has no text"),
        ("a.pdf", pdf(""), "the PDF has no text"),
        ("a.pdf", pdf("secret", password="key"), "the PDF needs a password"),
        ("a.pdf", pdf("w" * 600, "w" * 600), "too long"),
        ("a.pdf", pdf(*["page"] * 501), "too many pages"),
    ],
    ids=[
        *("no bytes", "white space", "latin-1", "long text", "word", "html", "text called pdf", "broken pdf"),
        *("text that begins as a pdf", "pdf without text", "locked pdf", "long pdf", "many pages"),
    ],
)
def test_what_cannot_be_read_is_said(name: str, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_document(name, content, 1000)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (DependencyError("no AES here"), "broken"),
        (ZeroDivisionError(), "broken"),
        (AssertionError(), "broken"),
        (MemoryError(), "memory"),
    ],
)
def test_a_pdf_may_fail_in_any_way(monkeypatch: pytest.MonkeyPatch, error: Exception, fault: str) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pypdf.PdfReader", fails)
    assert pdf_worker.read(pdf("text"), 1000, 10) == {"fault": fault}


@cache
def endless() -> bytes:
    """A small PDF with a page of two million operators, which takes minutes."""
    small = pdf("w")
    content = zlib.compress(b"BT /F1 12 Tf " + b"(a) Tj " * 2_000_000 + b"ET")
    return re.sub(
        rb"<<\s*/Length \d+\s*>>\s*stream\r?\n.*?endstream",
        lambda _: b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content),
        small,
        count=1,
        flags=re.S,
    )


def test_a_pdf_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(endless()) < 100_000
    monkeypatch.setattr(reading, "_SECONDS", 1)
    began, before = time.monotonic(), set(psutil.Process().children())
    with pytest.raises(DataError, match=r"takes too long to read\n.*\n  expected: at most 1 s"):
        read_document("a.pdf", endless(), 1000)
    assert time.monotonic() - began < 15 and set(psutil.Process().children()) <= before


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory there")
def test_a_pdf_that_takes_too_much_memory_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MEMORY", 200_000_000)
    assert read_document("a.pdf", pdf("text"), 1000).text.strip() == "text"
    monkeypatch.setattr(reading, "_MEMORY", 100_000_000)
    with pytest.raises(DataError, match="takes too much memory"):
        read_document("a.pdf", endless(), 1000)


def test_many_pdfs_at_once_block_nobody(run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_SECONDS", 4)
    served = run()
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
    question = b'\r\n--x\r\nContent-Disposition: form-data; name="question"\r\n\r\nWhen?\r\n--x--\r\n'
    body = head + endless() + question

    def upload(_: int) -> tuple[int, str | None]:
        status, headers, _content = served.request(
            "POST", "/documents", body, **{"Content-Type": "multipart/form-data; boundary=x"}
        )
        return status, headers["Retry-After"]

    with ThreadPoolExecutor(101) as pool:
        uploads = [pool.submit(upload, at) for at in range(100)]
        until(lambda: sum(sent.done() for sent in uploads) >= 50)
        assert served.ask()[0] == 200 and served.request("GET", "/healthz")[0] == 200
        early = not all(sent.done() for sent in uploads)
        answered = [sent.result(60) for sent in uploads]
    assert early, "the first ones were still being read"
    assert set(answered) == {(422, None), (503, "5")} and answered.count((503, "5")) > 80


def test_a_pasted_text_is_asked_and_the_places_are_told(client: FlaskClient) -> None:
    text = "First line.\nThe mill is of 1832.\n" + "More. " * 4000
    page = client.post("/documents", data={"question": "When?", "text": text}).text
    finds = [html.unescape(re.sub(r"<[^>]*>", "", one)) for one in re.findall(r'<li class="card">.*?</li>', page, re.S)]
    assert len(finds) == 2 and "2 different answers" in page
    assert re.search(r"1832\s*line 2", finds[0]) and "Numbers 62.5%" in finds[0] and "Careful 62.5%" in finds[0]
    assert re.search(r"First\s*line 1", finds[1])
    assert html.escape(text) in page, "the next question needs no upload"


def test_an_uploaded_file_is_asked_and_comes_back_with_its_pages(client: FlaskClient) -> None:
    sent = {"question": "When?", "file": (io.BytesIO(pdf("The mill", "of 1832")), "../x/mill.pdf"), "model": "numbers"}
    page = client.post("/documents", data=sent).text
    assert "page 2" in page and 'name="name" value="mill.pdf"' in page
    pages = re.search(r'name="pages" value="([\d ]+)"', page)
    text = re.search(r'<textarea id="text"[^>]*>\n(.*?)</textarea>', page, re.S)
    assert pages is not None and text is not None
    again = {"question": "When?", "text": text[1], "pages": pages[1], "name": "mill.pdf", "model": "numbers"}
    again["digest"] = re.search(r'name="digest" value="(\w+)"', page)[1]  # type: ignore[index]
    same = client.post("/documents", data={**again, "text": text[1].replace("\n", "\r\n")}).text  # as browsers send it
    assert "page 2" in same and "Text of <bdi>mill.pdf</bdi>" in same
    other = client.post("/documents", data={**again, "text": f"Before it. {text[1]}"}).text
    assert "line 2" in other and "mill.pdf" not in other, "its pages begin elsewhere now"
    for nonsense in ("9 4 x -1", "9" * 5_000):
        assert "line" in client.post("/documents", data={**again, "pages": nonsense}).text, "it is left out"


def test_true_answers_score_the_places(client: FlaskClient) -> None:
    asked = {"question": "Who?", "text": "The mill of 1832 is Ada's.\n" + "More. " * 4000 + "1832"}
    page = client.post("/documents", data={**asked, "answers": "the mill\r\n mills "}).text
    assert ">2 different answers, 0 of 3 right<" in page
    page = client.post("/documents", data={**asked, "answers": "1832"}).text
    assert ">2 different answers, 2 of 3 right<" in page
    right, wrong = re.findall(r'<li class="card">.*?</li>', page, re.S)
    texts = [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", one)).split()) for one in (right, wrong)]
    assert texts[0].startswith("1832 line 1 ✓ right EM 100 F1 100.0") and "✗ not exact EM 0 F1 0.0" in texts[1]
    assert 'class="piece gold"' in wrong, "what is right is marked there, too"
    assert ">1832</textarea>" in page.replace("\n", "")
    page = client.post("/documents", data={**asked, "text": "Nothing here", "unanswerable": "1"}).text
    assert ">3 different answers, 1 of 3 right<" in page and "checked> The document does not answer it" in page
    many = client.post("/documents", data={**asked, "answers": "\n".join(map(str, range(101)))})
    assert many.status_code == 422 and "At most 100 true answers, found 101." in many.text


def test_no_model_is_chosen(client: FlaskClient) -> None:
    refused = client.post("/documents", data={"question": "When?", "text": "In 1832", "choice": "1"})
    assert refused.status_code == 422 and "Choose a model." in refused.text and "In 1832" in refused.text


def test_no_answer_in_a_document(client: FlaskClient) -> None:
    page = client.post("/documents", data={"question": "When?", "text": "Nothing here", "model": "careful"}).text
    assert "no answer" in page and "Careful 75.0%" in page and ">Answered<" in page


def test_it_says_how_many_agree(client: FlaskClient) -> None:
    page = client.post(
        "/documents", data={"question": "When?", "text": "In 1832", "model": ["numbers", "careful"]}
    ).text
    assert "All 2 point to the same place" in page
    assert re.findall(r'name="model" value="(\w+)" checked', page) == ["numbers", "careful"]


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ({"text": "x"}, 422, "The question is empty."),
        ({"question": "?"}, 422, "The document is empty. Expected: some text."),
        ({"question": "?", "text": "w" * 100_001}, 422, "at most 100,000 characters"),
        ({"question": "?", "file": (io.BytesIO(b"PK"), "a.zip")}, 422, "This kind of file is not read."),
        ({"question": "?", "file": (io.BytesIO(pdf("")), "a.pdf")}, 422, "Read a scan by OCR first."),
        ({"question": "?", "file": (io.BytesIO(b"no pdf"), "a.pdf")}, 422, "The PDF cannot be read. Print it"),
        ({"question": "?", "file": (io.BytesIO(b"\xff"), "a.txt")}, 422, "Save it as UTF-8, or paste its text."),
    ],
)
def test_a_refused_document_leaves_the_form(
    client: FlaskClient, data: dict[str, object], status: int, said: str
) -> None:
    answer = client.post("/documents", data=data, content_type="multipart/form-data")
    assert answer.status_code == status and said in answer.text and "<form" in answer.text
    assert "Error" not in answer.text, "no name of a class"


def test_large_files_are_refused(make: Make) -> None:
    client = make(max_upload_mb=0.5)
    sent = {"question": "?", "file": (io.BytesIO(b"w" * 500_001), "a.txt")}
    assert client.post("/documents", data=sent).status_code == 413
    sent = {"question": "?", "file": (io.BytesIO(b"w" * 3_000_000), "a.txt")}
    assert client.post("/documents", data=sent).status_code == 413


def test_a_document_counts_as_many_questions(make: Make) -> None:
    client = make(questions_per_minute=10)
    assert client.post("/documents", data={"question": "?", "text": "word " * 9_000}).status_code == 200
    refused = client.post("/documents", data={"question": "?", "text": "word " * 9_000})
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 30
