"""Every page by axe-core, in a wide light window and a narrow dark one: nothing serious, nothing critical."""

import pytest
from axe import findings, grave_findings

pytestmark = pytest.mark.usefixtures("read")

PAGES = {
    "ask": "/",
    "answers": "/?question=Where?&context=The+Rhine+flows+from+the+Alps.&answers=the+Alps&inside=1",
    "documents": "/documents",
    "explore": "/explore/compare?who=differ",
    "nothing found": "/explore/compare?words=zebra",
    "question": "/explore/compare/questions/4",
    "mark": "/corrections/mark?study=compare&place=4",
    "corrections": "/corrections",
    "api": "/api",
    "sign in": "/sign-in",
    "problem": "/explore/nothing",
}


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[pytest.mark.exhaustive] if one == "nothing found" else []) for one in PAGES]
)
def test_a_page_has_no_grave_finding(open_page, name):
    address = PAGES[name]
    if name == "corrections":  # with what was just saved, and its undoing
        form = {"question": "?", "context": "In Vienna.", "text": "Vienna"}
        address = open_page("/").request.post("/corrections", form=form).url
        assert "changed=" in address
    page = open_page(address)
    for details in page.locator("details").all():
        details.evaluate("one => { one.open = true; }")
    assert grave_findings(page) == []


def test_the_check_can_fail(open_page):
    page = open_page("/")
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    assert any(one.startswith("label (critical)") for one in findings(page))


def test_everything_is_reached_by_keyboard(open_page):
    """The skip link first; then, along the form, every field."""
    page = open_page("/explore/compare")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert [one for one in seen if one in ("words", "who", "right", "wrong", "kind", "slice", "order", "show")] == [
        "words", "who", "right", "wrong", "kind", "slice", "order", "show",
    ]  # fmt: skip
