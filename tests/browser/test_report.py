"""The report of a study, clicked: by itself from the disk, and in the sandbox in which the app shows it."""

import pytest
from axe import grave_findings

pytestmark = pytest.mark.usefixtures("read")
BOTH = pytest.mark.parametrize("page", ["from the disk", "in the app"], indirect=True)
# The same script in both; what the app's sandbox takes away, the theme and the axe-core check show.
FILTERS = pytest.mark.parametrize(
    "page", ["from the disk", pytest.param("in the app", marks=pytest.mark.exhaustive)], indirect=True
)


@pytest.fixture
def page(request, open_page, reported):
    """The report from the disk; or in the app, for the tests that say so."""
    in_app = getattr(request, "param", "") == "in the app"
    page = open_page("/explore/compare/files/report.html" if in_app else (reported / "report.html").as_uri())
    counted(page, "2 of 5 questions")
    return page


def counted(page, said):
    """Wait until so many questions are found. (A page that forbids `eval` cannot be asked with a function.)"""
    page.locator(".pager output", has_text=said).first.wait_for()


def shown(page):
    """The questions that stand on the page, by id."""
    return sorted(page.locator("#browse-list h4 small").all_text_contents())


@FILTERS
def test_filters_narrow_what_is_shown(page):
    assert shown(page) == ["a", "c"], "at first: where methods differ"
    page.select_option("#browse-wrong", "any")
    page.select_option("#browse-right", "any")
    assert shown(page) == ["a", "b", "c", "d", "e"]
    page.select_option("#browse-kind", label="elsewhere")
    assert shown(page) == ["a", "c", "d"]
    page.select_option("#browse-wrong", label="LoRA")
    assert shown(page) == ["c", "d"]
    page.select_option("#browse-slice", label="question word: when")
    assert shown(page) == ["d"]
    page.select_option("#browse-slice", "")
    page.fill("#browse-words", "EIFFEL who")
    counted(page, "1 of 5")
    assert shown(page) == ["c"]
    page.fill("#browse-words", "zebra")
    page.wait_for_selector("text=No question fits.")


@FILTERS
def test_a_number_leads_to_its_questions(page):
    link = page.locator("a[data-right][data-wrong]", has_text="2").first
    link.click()
    assert len(shown(page)) == 2
    assert page.input_value("#browse-right") == link.get_attribute("data-right")
    assert page.input_value("#browse-sort") == "telling"
    assert page.evaluate("document.getElementById('disagreements').getBoundingClientRect().top") < 200


def test_the_sections_are_one_click_away(page):
    for link in page.locator("nav a").all():
        target = link.get_attribute("href")
        link.click()
        assert page.locator(target).count() == 1
        assert page.url.endswith(target)


@BOTH
def test_the_theme_button(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("button.theme")
    assert page.evaluate(ground) != before
    page.click("button.theme")
    assert page.evaluate(ground) == before


def test_tabs_change_the_figure(page):
    labels = page.locator("#costs .tabs label")
    assert labels.count() > 1
    labels.nth(1).click()
    visible = page.locator("#costs .tabs > div").evaluate_all("all => all.map(one => one.checkVisibility())")
    assert visible.index(True) == 1 and visible.count(True) == 1


def test_what_is_marked_is_what_the_answer_says(page):
    page.select_option("#browse-right", "any")
    page.select_option("#browse-wrong", "any")
    page.fill("#browse-words", "Which prize")
    counted(page, "1 of 5")
    article = page.locator("#browse-list article")
    assert "".join(article.locator(".context .gold").all_text_contents()) == "𝒢ödel"
    assert "".join(article.locator(".context .wrong").all_text_contents()) == "𝒢ödel prize"
    assert article.locator("q").all_text_contents() == ["𝒢ödel prize"]


def test_the_report_has_no_grave_finding(open_page, reported):
    page = open_page("/explore/compare/files/report.html")
    counted(page, "2 of 5 questions")
    assert grave_findings(page) == []


def test_the_overview_has_no_grave_finding(open_page, reported):
    page = open_page("/explore/compare/overview")
    page.locator("img").first.wait_for()
    assert page.locator("img").count() > 1
    assert grave_findings(page) == []
