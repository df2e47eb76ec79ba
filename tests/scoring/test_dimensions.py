"""The rules that put a question into a slice, case by case."""

import pytest

from spantune.data import Answer, Example, load_corpus
from spantune.scoring import dimensions
from spantune.scoring.answer_types import ANSWER_TYPES, answer_type
from spantune.scoring.dimensions import DIMENSIONS, question_word
from spantune.scoring.slices import members
from spantune.scoring.words import main_answer, numbers, overlap, sentence_at, sentences, words


def asking(question):
    return Example("q", question, "Some text.")


def answered(text, context=None, question="What?"):
    """The answer stands in the middle of a sentence unless a context is given."""
    context = context or f"It is said that {text} was there."
    return Example("q", question, context, (Answer(text, context.index(text)),))


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Who built it?", "who"),
        ("To whom was it sold?", "who"),
        ("Whose mill is it?", "who"),
        ("In what year was it?", "what"),
        ("What's left?", "what"),
        ("WHEN did it fall?", "when"),
        ("Where?", "where"),
        ("why?", "why"),
        ("In which town?", "which"),
        ("How many doors are there?", "how many"),
        ("For how much was it sold?", "how many"),
        ("How old is it?", "how"),
        ("It fell how?", "how"),
        ("The keeper wanted what, and why?", "what"),
        ("Name the miller.", "other"),
        ("Wann wurde sie gebaut?", "other"),
        ("谁建造了它？", "other"),
        ("Does anyhow count?", "other"),
    ],
)
def test_question_words(question, word):
    assert question_word(asking(question)) == word


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1841", "date"),
        ("in 1841", "date"),
        ("March 3, 1902", "date"),
        ("the late 1970s", "date"),
        ("between October and March", "date"),
        ("the second quarter of the 19th century", "date"),
        ("1944–1945", "date"),
        ("2016-01-03", "date"),
        ("Saturday", "date"),
        ("12:30 am", "date"),
        ("Sunday School", "name"),
        ("17", "number"),
        ("$5 million in cash", "number"),
        ("about twenty-five", "number"),
        ("more than 14,000", "number"),
        ("32.9%", "number"),
        ("two-thirds", "number"),
        ("three times a day", "number"),
        ("third", "number"),
        ("second hand shop", "phrase"),
        ("one of the mills", "phrase"),
        ("Seven Years' War", "name"),
        ("Ada Moor", "name"),
        ("the University of Cape Town", "name"),
        ("Brown v. Board of Education", "name"),
        ("Ludwig van Beethoven", "name"),
        ("NASA", "name"),
        ("eBay", "name"),
        ("a grey lamp", "phrase"),
        ("wool", "phrase"),
        ("German-language books", "phrase"),
        ("to keep the lamp lit", "long"),
        ("because of the rain", "long"),
        ("the door was blue", "long"),
        ("oats, wool and salt", "long"),
        ("a long way over the hills behind the old mill", "long"),
        ("東京", "phrase"),
    ],
)
def test_answer_types(text, kind):
    assert answer_type(answered(text)) == kind


def test_a_bare_year_after_how_many_is_a_number():
    assert answer_type(answered("2000", question="How many guests came?")) == "number"
    assert answer_type(answered("in 2000", question="In how many years?")) == "date"


def test_a_capital_at_the_beginning_of_a_sentence_is_no_name_by_itself():
    assert answer_type(answered("Boats", "It rained. Boats came, and more boats.")) == "phrase"
    assert answer_type(answered("Boats", "It rained. Boats came, and ships.")) == "name"
    assert answer_type(answered("Boats", "They saw Boats, and other boats.")) == "name"


def test_the_answer_that_most_annotators_gave():
    example = Example("q", "?", "The mill, the old mill.", tuple(Answer(*one) for one in [
        ("old mill", 14), ("mill", 4), ("The mill", 0), ("mill", 18)]))  # fmt: skip
    assert main_answer(example) == Answer("mill", 4), "articles aside, `mill` three times"
    assert main_answer(asking("?")) is None
    assert answer_type(asking("?")) == "none"


def test_sentences_cover_the_text():
    text = 'Mr. A. Moor came (e.g. by boat). "Why?" he asked. It was 3.5 m long! 雨。船が来た。\nA line'
    parts = [text[start:end].strip() for start, end in sentences(text)]
    assert parts == [
        "Mr. A. Moor came (e.g. by boat).",
        '"Why?" he asked.',
        "It was 3.5 m long!",
        "雨。",
        "船が来た。",
        "A line",
    ]
    assert "".join(text[start:end] for start, end in sentences(text)) == text
    start, end = sentence_at(text, text.index("long"))
    assert text[start:end].startswith("It was")
    assert sentences("") == ((0, 0),) and sentence_at("ab", 2) == (0, 2)


def test_words_of_every_script():
    assert words("Ada Moor's  mill") == ["Ada", "Moor's", "mill"]
    assert words("東京 is カ") == ["東", "京", "is", "カ"]
    assert numbers("In 1841 two of 3,500 men, at 10:30") == {"1841", "two", "3,500", "10:30"}


def test_overlap_counts_content_words():
    # keeper, want and wool; of these the sentence has two.
    assert overlap("Why did the keeper want wool?", "The keeper asked for wool, if possible.") == pytest.approx(2 / 3)
    assert overlap("Who was it?", "It was there.") == 0.0


@pytest.mark.parametrize(
    ("name", "example", "expected"),
    [
        ("answer length", answered("one"), "1"),
        ("answer length", answered("one two three four"), "3–4"),
        ("answer length", answered("a b c d e"), "5–8"),
        ("answer length", answered("a b c d e f g h i"), "9 or more"),
        ("answer length", asking("?"), "none"),
        ("context length", answered("x", "x " * 99), "1–99"),
        ("context length", answered("x", "x " * 100), "100–149"),
        ("context length", answered("x", "x " * 400), "400 or more"),
        ("answer position", answered("x", "x" + "-" * 39), "first quarter"),
        ("answer position", answered("x", "-" * 10 + "x" + "-" * 29), "second quarter"),
        ("answer position", answered("x", "-" * 39 + "x"), "last quarter"),
        ("answer position", asking("?"), "none"),
        ("word overlap", answered("Ada", "Ada built the mill. A bridge fell.", "Who built the bridge?"), "50–75%"),
        ("word overlap", answered("Ada", "Ada came. The bridge was built.", "Who built the bridge?"), "below 25%"),
        ("word overlap", answered("Ada", "Ada built the bridge.", "Who built the bridge?"), "75% or more"),
        ("word overlap", asking("?"), "none"),
        ("answerable", asking("?"), "unanswerable"),
        ("answerable", answered("x"), "answerable"),
    ],
)
def test_bins(name, example, expected):
    dimension = next(one for one in DIMENSIONS if one.name == name)
    assert dimension.of(example) == expected
    assert expected in dimension.slices


def test_every_question_of_the_sample_is_in_one_slice_of_each_dimension():
    examples = load_corpus("sample-v2", split="validation").examples
    for dimension in DIMENSIONS:
        inside = members(examples, dimension)
        assert inside.shape == (len(dimension.slices), len(examples))
        assert (inside.sum(axis=0) == 1).all()
    found = {answer_type(example) for example in examples}
    assert found == set(ANSWER_TYPES), "the sample has every type"
    assert len({dimension.name for dimension in DIMENSIONS}) == len(DIMENSIONS) == 7
    assert dimensions.NO_ANSWER in ANSWER_TYPES
