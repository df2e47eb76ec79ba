"""A headless Chromium, and a served app to look at with it: real pages, real scripts, models that are made up."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), *(str(Path(__file__).parents[1] / room) for room in ("web", "reports"))]

DESKTOP = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}
FORMS = {"desktop": DESKTOP, "phone": PHONE}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@pytest.fixture(scope="session")
def chromium():
    """The browser; the tests are skipped where it or Playwright is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (the extra `dev` has it)"
    )
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no Chromium: none of {', '.join(NAMES)} is here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Three methods on a few questions."""
    from made_studies import ANSWERS, ROWS, question_row, write_study
    from questions import EMOJI

    rows = (*ROWS, question_row("e", "Which prize?", EMOJI, "𝒢ödel"))
    answers = {name: [[*run, "𝒢ödel prize"] for run in runs] for name, runs in ANSWERS.items()}
    return write_study(tmp_path_factory.mktemp("browser") / "compare", rows, answers)


@pytest.fixture(scope="session")
def reported(study):
    """The same with its report: seconds, for those alone who look at it."""
    from spantune.studies.report import report

    report(study)
    return study


@pytest.fixture(scope="session")
def address(study, tmp_path_factory):
    """Where the app answers."""
    from made_up_models import MadeUp
    from werkzeug.serving import make_server

    from spantune.config import ServeConfig
    from spantune.web import create_app
    from spantune.web.served_models import named_models

    runs = [study / f"{name}-0" for name in ("full", "lora", "ia3")]
    config = ServeConfig(runs=("x",), data_dir=str(tmp_path_factory.mktemp("kept")))
    app = create_app(config, MadeUp(named_models(runs)), [study])
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture(params=["desktop", pytest.param("phone", marks=pytest.mark.exhaustive)])
def form(request):
    """Size and colours of the window: desktop and light, phone and dark."""
    return FORMS[request.param]


EXPECTED = ("ERR_ABORTED", "status of 422", "status of 404")
"""A picture that a page was left before; and pages that say what is wrong."""


FORGET = "() => { try { localStorage.clear(); sessionStorage.clear(); } catch { /* a sandbox has no storage */ } }"


@pytest.fixture(scope="session")
def pages(chromium, address):
    """Lends pages by settings: a page that has been used before costs a third of a new one."""
    idle = {}

    def lend(settings):
        kept = idle.setdefault(json.dumps(settings, sort_keys=True), [])
        return kept.pop() if kept else chromium.new_context(base_url=address, **settings).new_page()

    def take_back(page, settings):
        page.context.clear_cookies()
        page.evaluate(FORGET)
        page.goto("about:blank")
        idle[json.dumps(settings, sort_keys=True)].append(page)

    return lend, take_back


@pytest.fixture
def open_page(pages):
    """Opens pages of the app; at the end none may have failed, or broken the policy that it came with."""
    lend, take_back = pages
    lent, problems = [], []

    def note(path, said):
        if not any(one in said for one in EXPECTED):
            problems.append(f"{path}: {said}")

    def open_one(path, **settings):
        page = lend(settings)
        page.set_default_timeout(10_000)
        listeners = {
            "pageerror": lambda error: note(path, str(error)),
            "console": lambda said: note(path, said.text) if said.type == "error" else None,
            "requestfailed": lambda one: note(path, f"{one.url} {one.failure}"),
        }
        for event, listener in listeners.items():
            page.on(event, listener)
        lent.append((page, settings, listeners))
        page.goto(path, wait_until="load")
        return page

    yield open_one
    for page, settings, listeners in lent:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        take_back(page, settings)
    assert not problems


@pytest.fixture(scope="session")
def read(chromium, address):
    """Returns when the models are there and the study was read."""
    context = chromium.new_context(base_url=address)
    until = time.monotonic() + 60
    while True:
        found = [context.request.get(path) for path in ("/readyz", "/explore/compare")]
        if all(one.status == 200 and "refresh" not in one.headers for one in found):
            break
        assert time.monotonic() < until, "the models or the study are not there"
        time.sleep(0.1)
    context.close()
