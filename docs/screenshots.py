"""The pictures in docs/web_app.md: serves a study, looks at the pages with a headless Chromium, writes docs/images.

    make demo
    .venv/bin/python docs/screenshots.py studies/demo

Chromium and Playwright (the extra `dev`) are needed. The pictures hold 256 colours, so that each is below 150 kB.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLOURS = 256
_READY_SECONDS = 120


@dataclass(frozen=True)
class Picture:
    """What is photographed.

    Attributes:
        name: of the file. prepare: what is done until the view is there.
        part: the element that is shown; default: the window.
    """

    name: str
    prepare: Callable[[Any, str], None]
    width: int = 1280
    height: int = 860
    dark: bool = False
    part: str = ""


def ask(page: Any, study: str) -> None:
    """The question of `make demo`."""
    page.goto("/")
    page.fill("#question", (ROOT / "configs" / "demo-question.txt").read_text(encoding="utf-8").strip())
    page.fill("#context", (ROOT / "configs" / "demo-context.txt").read_text(encoding="utf-8").strip())
    page.click("button.primary")
    page.wait_for_selector("#results .card")
    page.evaluate("scrollTo(0, 0); document.getElementById('context').scrollTop = 0")


def ask_on_a_phone(page: Any, study: str) -> None:
    ask(page, study)
    page.evaluate("document.querySelector('.outcome').scrollIntoView()")


def inside(page: Any, study: str) -> None:
    ask(page, study)
    page.check("input[name=inside]")
    page.click("button.primary")
    page.wait_for_selector(".strip")
    page.evaluate("document.querySelector('.inside .scroll').scrollLeft = 330")


def explore(page: Any, study: str) -> None:
    page.goto(f"/explore/{study}?who=differ")


def question(page: Any, study: str) -> None:
    explore(page, study)
    page.locator(".card h3 a").nth(1).click()
    page.wait_for_selector(".given")


def overview(page: Any, study: str) -> None:
    page.goto(f"/explore/{study}/overview")
    page.evaluate("Promise.all([...document.images].map(one => one.decode()))")


def correct(page: Any, study: str) -> None:
    question(page, study)
    first, *others = page.locator(".accepted q").first.text_content().split()
    page.click("text=Correct the answer")
    page.focus("#context")
    while page.input_value("#text") != first:
        page.keyboard.press("ArrowRight")
    for _ in others:
        page.keyboard.press("Shift+ArrowRight")


def ask_what_they_dispute(page: Any, study: str) -> None:
    """A question on which the models differ, with its accepted answer, as Explore hands it over."""
    question(page, study)
    page.click("text=Ask this now")
    page.wait_for_selector(".outcome")


PICTURES = (
    Picture("web-ask", ask_what_they_dispute),
    Picture("web-ask-phone", ask_on_a_phone, 390, 844, dark=True),
    Picture("web-inside", inside, 1800, 700, part=".inside"),
    Picture("web-explore", explore),
    Picture("web-question", question, height=900),
    Picture("web-overview", overview),
    Picture("web-correct", correct, height=640, dark=True),
)


@contextmanager
def served(study: Path) -> Iterator[str]:
    """The address of `spantune serve STUDY`, once the models are loaded and the questions read."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "spantune", "serve", str(study), "--port", "0", "--data-dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if "http://" in line)
            found = re.search(r"http://[\w.:\[\]]+", said)
            assert found is not None
            yield found[0]
        finally:
            process.terminate()
            process.wait()


def wait(page: Any, study: str) -> None:
    """Until the app answers and explores."""
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        found = [page.request.get(path) for path in ("/readyz", f"/explore/{study}")]
        if all(one.ok and "refresh" not in one.headers for one in found):
            return
        time.sleep(0.3)
    raise SystemExit("the app did not become ready")


def small(png: bytes) -> bytes:
    """The same picture with few colours."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("study", type=Path, help="study folder, such as studies/demo")
    parser.add_argument("--output", type=Path, default=IMAGES)
    parser.add_argument("--only", nargs="*", help="names of pictures")
    given = parser.parse_args()
    study = given.study.resolve().name
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with served(given.study) as address, sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for one in PICTURES:
            if given.only and one.name not in given.only:
                continue
            size: Any = {"width": one.width, "height": one.height}
            context = browser.new_context(
                base_url=address,
                viewport=size,
                color_scheme="dark" if one.dark else "light",
                reduced_motion="reduce",
            )
            page = context.new_page()
            wait(page, study)
            one.prepare(page, study)
            shown = page.locator(one.part) if one.part else page
            picture = small(shown.screenshot(animations="disabled", caret="hide"))
            (given.output / f"{one.name}.png").write_bytes(picture)
            print(f"{one.name}.png  {len(picture) / 1000:.0f} kB")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
