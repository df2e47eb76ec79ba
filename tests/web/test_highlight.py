"""Contexts in pieces: nothing is lost, overlapping marks have lanes of their own, and texts stay letter by letter."""

import html
import random
import re

from spantune.web.highlight import AnswerMark, cut, exact, in_lanes


def marks(*spans):
    return [AnswerMark(start, end, number, f"method-{number}") for number, (start, end) in enumerate(spans)]


def lanes(*spans):
    return [one.lane for one in in_lanes(marks(*spans))]


def test_marks_that_overlap_have_lanes_of_their_own():
    assert lanes((0, 5), (5, 9), (9, 12)) == [0, 0, 0], "one ends where the next begins"
    assert lanes((0, 5), (4, 9), (8, 12)) == [0, 1, 0]
    assert lanes((0, 9), (0, 9), (2, 3)) == [0, 1, 2]


def test_a_context_is_cut_where_something_begins_or_ends():
    pieces = cut("abcdef", [(1, 3)], in_lanes(marks((2, 5), (2, 4))))
    assert [one.text for one in pieces] == ["a", "b", "c", "d", "e", "f"]
    assert [one.gold for one in pieces] == [False, True, True, False, False, False]
    assert [[mark.number for mark in one.marks] for one in pieces] == [[], [], [1, 0], [1, 0], [0], []]
    assert [one.start for one in pieces] == [0, 1, 2, 3, 4, 5]
    assert [one.text for one in cut("abc", [], [])] == ["abc"]


def test_the_pieces_add_up_to_the_context():
    chance = random.Random(0)
    for _ in range(200):
        context = "".join(chance.choices("ab 😀é\n", k=chance.randrange(1, 30)))
        spans = [tuple(sorted(chance.sample(range(len(context) + 1), 2))) for _ in range(6)]
        pieces = cut(context, spans[:2], in_lanes(marks(*spans[2:])))
        assert "".join(one.text for one in pieces) == context
        for one in pieces:
            inside = [mark.number for mark in marks(*spans[2:]) if mark.start <= one.start < mark.end]
            assert sorted(mark.number for mark in one.marks) == inside
            assert one.gold is any(start <= one.start < end for start, end in spans[:2])
            assert len({mark.lane for mark in one.marks}) == len(one.marks)


def test_a_text_is_exact_and_harmless():
    text = "</p>\r\n<script>&amp;\u202e\x00\x07 '\"é😀"
    made = str(exact(text))
    assert "<script" not in made and "\r" not in made and "\x00" not in made
    assert re.findall(r'<span class="unseen" data-name="(U\+\w+)">', made) == ["U+202E", "U+0007"]
    assert html.unescape(re.sub(r"<[^>]*>", "", made).replace("&#13;", "\r")) == text.replace("\x00", "\ufffd")
