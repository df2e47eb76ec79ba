"""What people do: ask, see where the answers differ, explore, mark the right words. With scripts and without."""

import json

import pytest
from questions import EMOJI

LINE = "node => getComputedStyle(node).borderBottomColor"
RIVER = "The Rhine flows from the Alps to the North Sea."


pytestmark = pytest.mark.usefixtures("read")


def ask(page):
    page.fill("#question", "Where does it begin?")
    page.fill("#context", RIVER)
    page.fill("#answers", "The Rhine flows")
    page.press("#question", "Enter")
    page.wait_for_selector("#results .card")


def test_asking_marks_every_answer_in_the_text(open_page, form):
    page = open_page("/", **form)
    ask(page)
    assert page.locator("#results .card").count() == 3
    assert page.locator("#marked").text_content() == RIVER
    marked = page.locator("#marked .mark.method-1").all_text_contents()
    assert "".join(marked) == "Rhine flows from", "the second model answers with the second word on"
    assert page.locator("#results .chip.right").count() == 1
    assert "question=" in page.url, "the address asks the same again"
    again = open_page(page.url, **form)
    assert again.locator("#results .card").count() == 3


LONG = " ".join(f"Stone number {number} lies on the road." for number in range(400))
IN_SIGHT = """node => {
    const [one, box] = [node, node.closest('.reading')].map(each => each.getBoundingClientRect());
    return one.top >= box.top && one.bottom <= box.bottom;
}"""


def test_in_a_long_context_the_answer_is_in_sight(open_page):
    page = open_page("/")
    page.fill("#question", "Where does the last one lie?")
    page.fill("#context", LONG)
    page.press("#question", "Enter")
    mark = page.locator("#mark-0")
    mark.wait_for()
    assert mark.evaluate(IN_SIGHT) and page.evaluate("scrollY") == 0, "the box was turned, not the page"
    plain = open_page("/", java_script_enabled=False)
    plain.fill("#question", "Where does the last one lie?")
    plain.fill("#context", LONG)
    with plain.expect_navigation():
        plain.click("button.primary")
    assert not plain.locator("#mark-2").evaluate(IN_SIGHT)
    plain.locator(".card .to-mark").last.click()
    assert plain.locator("#mark-2").evaluate(IN_SIGHT)


def test_the_address_never_asks_an_earlier_question(open_page):
    page = open_page("/")
    ask(page)
    page.fill("#context", RIVER * 200)
    page.press("#question", "Enter")
    page.wait_for_selector("text=too long for a link")
    assert "question=" not in page.url
    page.get_by_role("checkbox", name="LoRA").uncheck()
    page.press("#question", "Enter")
    page.locator("#results .card").nth(2).wait_for(state="detached")
    page.locator(".card .to-mark").first.click()
    page.wait_for_url("**/#mark-0")
    page.reload()
    assert page.input_value("#question") == "Where does it begin?" and page.input_value("#answers") == "The Rhine flows"
    assert page.input_value("#context") == RIVER * 200, "what was typed is still there"
    boxes = page.locator("input[name=model]").all()
    assert [one.is_checked() for one in boxes] == [True, False, True]


def test_back_shows_the_answers_to_a_document_again(open_page):
    page = open_page("/documents")
    page.fill("#question", "Where does it begin?")
    page.fill("#text", RIVER)
    with page.expect_navigation():
        page.click("button.primary")
    page.click("text=Explore")
    page.wait_for_url("**/explore/compare")
    page.go_back(wait_until="load")
    assert page.locator("#results .card").count() == 3, "no question whether to send the form once more"
    assert page.input_value("#text") == RIVER and page.input_value("#question") == "Where does it begin?"


def test_an_answer_can_be_taken_out_of_the_text(open_page):
    page = open_page("/")
    ask(page)
    toggle = page.get_by_role("button", name="Show the answer of LoRA in the text")
    mark = page.locator("#marked .mark.method-1").first
    assert mark.evaluate(LINE) != "rgba(0, 0, 0, 0)"
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "false"
    page.mouse.move(0, 0)
    mark.evaluate("node => Promise.all(node.getAnimations().map(one => one.finished))")
    assert mark.evaluate(LINE) == "rgba(0, 0, 0, 0)"
    toggle.press("Enter")
    assert toggle.get_attribute("aria-pressed") == "true"


def test_some_models_alone_can_be_asked(open_page):
    page = open_page("/")
    page.get_by_role("checkbox", name="LoRA").uncheck()
    ask(page)
    assert page.locator("#results .card h3").all_text_contents() == ["Full fine-tuning", "(IA)³"]


def test_the_answers_come_without_moving_the_page(open_page):
    page = open_page("/")
    page.evaluate("""() => {
        window.shifts = 0;
        const seen = new PerformanceObserver(list => list.getEntries().forEach(one => { window.shifts += one.value; }));
        seen.observe({ type: 'layout-shift', buffered: true });
    }""")
    ask(page)
    page.wait_for_timeout(200)
    assert page.evaluate("window.shifts") < 0.1, "what web.dev calls good"


def test_a_file_that_is_too_large_is_not_sent(open_page, tmp_path):
    page = open_page("/documents")
    page.fill("#question", "Where?")
    page.fill("#text", RIVER)
    for name, size in (("large.txt", 10_100_000), ("small.txt", 100)):
        (tmp_path / name).write_bytes(b"w " * (size // 2))
    page.set_input_files("#file", tmp_path / "large.txt")
    page.click("button.primary")
    said = page.locator("#file").evaluate("node => node.validationMessage")
    assert said == "The file is too large: at most 10 MB, it has 10.1 MB." and page.input_value("#text") == RIVER
    assert page.locator("button.primary").text_content() == "Ask", "it was not sent"
    page.set_input_files("#file", tmp_path / "small.txt")
    assert page.input_value("#text") == ""
    with page.expect_navigation():
        page.click("button.primary")
    page.wait_for_selector(".finds")


def test_without_scripts(open_page):
    page = open_page("/", java_script_enabled=False)
    page.fill("#question", "Where?")
    page.fill("#context", RIVER)
    with page.expect_navigation():
        page.click("button.primary")
    assert page.locator("#marked .mark").count() > 0
    page.goto("/explore/compare")
    page.select_option("#who", "none")
    with page.expect_navigation():
        page.click("form.filters button")
    assert page.locator(".card h3").all_text_contents() == ["When was it built?", "Which prize?"]
    page.click("text=Which prize?")
    page.click("text=Correct the answer")
    page.fill("#text", "joke")
    with page.expect_navigation():
        page.click("button.primary")
    assert page.locator(".changed q").first.text_content() == "joke" and "who=none" in page.url
    page.goto("/corrections")
    card = page.locator(".card", has_text="Which prize?")
    with page.expect_navigation():
        card.get_by_role("button", name="Delete").click()
    assert card.count() == 0
    with page.expect_navigation():
        page.click("text=Undo")
    assert card.locator("q").first.text_content() == "joke"


def point_at(page, field, choice):
    """Choose from a list as with the mouse; the list itself is the browser's, not the page's."""
    with page.expect_navigation():
        page.dispatch_event(field, "pointerdown")
        page.focus(field)
        page.select_option(field, choice)


def test_exploring(open_page, form):
    page = open_page("/explore", **form)
    assert page.url.endswith("/explore/compare")
    point_at(page, "#who", "differ")
    assert page.locator("#matches").text_content() == "2 questions"
    assert page.url.endswith("?who=differ"), "an address says only what was asked for"
    point_at(page, "#wrong", "LoRA")
    assert page.evaluate("document.activeElement.id") == "wrong"
    page.fill("#words", "eiffel")
    page.press("#words", "Enter")
    page.wait_for_selector("text=1 question")
    with page.expect_navigation():
        page.click("text=Who built the tower?")
    assert page.locator(".context .mark").count() > 0
    page.go_back()
    assert page.input_value("#words") == "eiffel" and page.locator("#who").is_enabled()
    with page.expect_navigation():
        page.click("text=Clear")
    assert page.locator("#matches").text_content() == "5 questions"


def test_a_list_is_chosen_from_with_the_keyboard(open_page):
    """WCAG 3.2.2: what an arrow key changes does not lead to another page."""
    page = open_page("/explore/compare")
    page.focus("#who")
    for count in (1, 2):
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(200)
        assert page.evaluate("[document.activeElement.id, document.activeElement.selectedIndex]") == ["who", count]
    assert page.url.endswith("/explore/compare")
    page.focus("#show")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url.endswith("?who=all") and page.evaluate("document.activeElement.id") == "show"
    page.fill("#words", "rhine")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url.endswith("words=rhine&who=all") and page.evaluate("document.activeElement.id") == "words"


def test_who_points_at_a_method_sees_its_answer_alone(open_page):
    page = open_page("/explore/compare/questions/0")
    page.hover("tr[data-method='0']")
    marks = page.locator(".context .mark")
    seen = [one.get_attribute("data-method") for one in marks.all() if one.evaluate(LINE) != "rgba(0, 0, 0, 0)"]
    assert set(seen) == {"0"} and marks.count() > len(seen)


def test_from_question_to_question_by_keyboard(open_page):
    page = open_page("/explore/compare/questions/0?order=data")
    with page.expect_navigation():
        page.keyboard.press("j")
    assert "/questions/1?" in page.url
    with page.expect_navigation():
        page.keyboard.press("k")
    assert "/questions/0?" in page.url


def test_a_number_of_the_matrix_leads_to_its_questions(open_page):
    page = open_page("/explore/compare")
    page.click("text=Who is right where another is wrong")
    page.get_by_label("Full fine-tuning right, LoRA wrong: 2").click()
    page.wait_for_selector("text=2 questions")


def test_from_a_question_to_asking_it_now(open_page):
    page = open_page("/explore/compare/questions/4")
    with page.expect_navigation():
        page.click("text=Ask this now")
    assert page.input_value("#question") == "Which prize?" and page.input_value("#context") == EMOJI


def test_from_an_answer_to_marking_the_right_one(open_page):
    page = open_page("/")
    ask(page)
    with page.expect_navigation():
        page.click("text=Mark the right answer")
    assert page.locator("h1").text_content() == "Where does it begin?"
    assert page.locator("#context").text_content() == RIVER


def middle(page, words, edge):
    """Where on the screen some words of the context begin (0) or end (1)."""
    return page.evaluate(
        """([words, edge]) => {
            const context = document.getElementById('context');
            const at = context.textContent.lastIndexOf(words) + edge * words.length;
            const walker = document.createTreeWalker(context, NodeFilter.SHOW_TEXT);
            let left = at, node = walker.nextNode();
            while (left > node.data.length) { left -= node.data.length; node = walker.nextNode(); }
            const range = document.createRange();
            range.setStart(node, left); range.setEnd(node, left);
            const box = range.getClientRects()[0];
            return [box.x, box.y + box.height / 2];
        }""",
        [words, edge],
    )


def corrected(page):
    """The answers that were marked in the text of this file, as they are given out."""
    articles = json.loads(page.request.get("/corrections/export").body())["data"]
    (paragraph,) = (one for article in articles for one in article["paragraphs"] if one["context"] == EMOJI)
    return paragraph["qas"][0]["answers"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("𝒢ödel", marks=pytest.mark.exhaustive),
        pytest.param("𝒢ödel joke", marks=pytest.mark.exhaustive),
        "e\u0301mile and Łucja",
        "🎲 night.\nThe 𝒢ödel prize",
    ],
)
def test_marking_with_the_mouse_counts_code_points(open_page, words):
    page = open_page("/corrections/mark?study=compare&place=4")
    page.mouse.move(*middle(page, words, 0))
    page.mouse.down()
    page.mouse.move(*middle(page, words, 1), steps=4)
    page.mouse.up()
    assert page.input_value("#text") == words
    page.click("text=Save")
    page.wait_for_url("**/questions/4?changed=*")
    assert corrected(page) == [{"text": words, "answer_start": EMOJI.rindex(words)}]


def test_marking_with_the_keyboard(open_page, form):
    page = open_page("/corrections/mark?study=compare&place=4", **form)
    page.focus("#context")
    for key in ("End", "Shift+ArrowLeft", "Shift+Alt+ArrowRight"):
        page.keyboard.press(key)
    said = page.input_value("#text")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#text") == "at" and said.startswith(("𝒢ödel", "ödel")) and said.endswith("joke")
    page.keyboard.press("Enter")
    page.wait_for_url("**/questions/4?changed=*")
    assert corrected(page) == [{"text": "at", "answer_start": EMOJI.index("at")}]


def test_on_a_phone_the_answer_stays_in_sight(open_page):
    page = open_page("/corrections/mark?study=compare&place=4", viewport={"width": 360, "height": 480})
    box = page.get_by_role("button", name="Save").bounding_box()
    assert page.evaluate("document.documentElement.scrollHeight") > 700, "the page is longer than the window"
    assert box["y"] + box["height"] <= 480


def test_words_that_stand_twice_are_asked_for(open_page):
    page = open_page("/corrections/mark?study=compare&place=4")
    page.fill("#text", "𝒢ödel")
    with page.expect_navigation():
        page.click("text=Save")
    places = page.get_by_role("radio")
    places.first.wait_for()
    assert places.count() == 2
    places.nth(1).check()
    page.click("text=Save")
    page.wait_for_url("**/questions/4?changed=*")
    assert corrected(page) == [{"text": "𝒢ödel", "answer_start": EMOJI.rindex("𝒢ödel")}]


def test_dark_and_light_are_kept(open_page):
    page = open_page("/", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("button.theme")
    dark = page.evaluate(ground)
    page.goto("/explore/compare")
    assert light != dark and page.evaluate(ground) == dark
