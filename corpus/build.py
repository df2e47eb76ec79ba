"""Turn the corpus sources of this folder into SQuAD JSON: `python corpus/build.py [--check] [FILE ...]`.

With files, only checks those and prints their statistics; without, writes the four files of the package.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TARGET = HERE.parent / "src" / "spantune" / "data" / "sample"


class CorpusError(Exception):
    """A source file breaks the format; the message says where."""


@dataclass
class Question:
    text: str
    answers: list[tuple[str, int]] = field(default_factory=list)
    plausible: list[tuple[str, int]] = field(default_factory=list)
    impossible: bool = False


@dataclass
class Paragraph:
    context: str
    questions: list[Question] = field(default_factory=list)


@dataclass
class Article:
    title: str
    split: str = "train"
    paragraphs: list[Paragraph] = field(default_factory=list)


def locate(context: str, written: str, where: str) -> tuple[str, int]:
    """Offset of an answer as written (`text` or `text @n`); CorpusError where it is missing or ambiguous."""
    match = re.fullmatch(r"(.*\S)\s+@(\d+)", written)
    text, nth = (match.group(1), int(match.group(2))) if match else (written, None)
    bounded = r"(?<!\w)" + re.escape(text) + r"(?!\w)"
    starts = [found.start() for found in re.finditer(bounded, context)]
    if not starts:
        raise CorpusError(f"{where}: the answer {text!r} does not stand in the paragraph as whole words")
    if nth is None and len(starts) > 1:
        raise CorpusError(f"{where}: {text!r} stands {len(starts)} times; write '@1' … '@{len(starts)}' behind it")
    if nth is not None and not 1 <= nth <= len(starts):
        raise CorpusError(f"{where}: {text!r} stands {len(starts)} times, not {nth}")
    return text, starts[(nth or 1) - 1]


def parse(path: Path) -> list[Article]:
    articles: list[Article] = []
    question: Question | None = None
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line, where = raw.strip(), f"{path.name}:{number}"
        mark, body = line[:2], line[2:].strip()
        if not line:
            continue
        if line == "## validation":
            articles[-1].split = "validation"
        elif mark == "# ":
            articles.append(Article(body))
        elif mark in ("? ", "! "):
            question = Question(body, impossible=mark == "! ")
            articles[-1].paragraphs[-1].questions.append(question)
        elif mark in ("= ", "~ "):
            if question is None or question.impossible != (mark == "~ "):
                raise CorpusError(f"{where}: '{mark}' follows no fitting question")
            spans = question.plausible if question.impossible else question.answers
            spans.append(locate(articles[-1].paragraphs[-1].context, body, where))
        elif line[0] in "#?!=~":
            raise CorpusError(f"{where}: a mark wants a space behind it: {line[:40]!r}")
        else:
            articles[-1].paragraphs.append(Paragraph(line))
            question = None
    for article in articles:
        for paragraph in article.paragraphs:
            for asked in paragraph.questions:
                if not (asked.plausible if asked.impossible else asked.answers):
                    raise CorpusError(f"{path.name}: no answer to {asked.text!r}")
            if not paragraph.questions:
                raise CorpusError(f"{path.name}: no question on {paragraph.context[:60]!r}")
    return articles


def as_squad(articles: list[tuple[str, Article]], split: str, version: str) -> dict[str, Any]:
    """Articles of one split in the official nested format; ids are `<file>-<paragraph>-<question>`."""
    data = []
    numbers: dict[str, int] = {}
    for stem, article in articles:
        paragraphs = []
        for paragraph in article.paragraphs:
            numbers[stem] = numbers.get(stem, 0) + 1
            qas = [
                qa(asked, f"{stem}-{numbers[stem]:03d}-{position}", version)
                for position, asked in enumerate(paragraph.questions, start=1)
                if version == "v2.0" or not asked.impossible
            ]
            paragraphs.append({"context": paragraph.context, "qas": qas})
        if article.split == split:
            data.append({"title": article.title, "paragraphs": paragraphs})
    return {"version": version, "data": data}


def qa(asked: Question, identifier: str, version: str) -> dict[str, Any]:
    def spans(pairs: list[tuple[str, int]]) -> list[dict[str, Any]]:
        return [{"text": text, "answer_start": start} for text, start in pairs]

    entry: dict[str, Any] = {"id": identifier, "question": asked.text, "answers": spans(asked.answers)}
    if version == "v2.0":
        entry["is_impossible"] = asked.impossible
        if asked.impossible:
            entry["plausible_answers"] = spans(asked.plausible)
    return entry


def render() -> dict[str, str]:
    """File name to content, for all four files."""
    articles = [(path.stem, article) for path in sorted(HERE.glob("*.txt")) for article in parse(path)]
    return {
        f"{split}-{version}.json": json.dumps(as_squad(articles, split, version), ensure_ascii=False, indent=1) + "\n"
        for split in ("train", "validation")
        for version in ("v1.1", "v2.0")
    }


def statistics(articles: list[Article]) -> str:
    paragraphs = [paragraph for article in articles for paragraph in article.paragraphs]
    asked = [question for paragraph in paragraphs for question in paragraph.questions]
    answerable = [question for question in asked if not question.impossible]
    words = [len(paragraph.context.split()) for paragraph in paragraphs]
    return (
        f"{len(articles)} articles ({sum(a.split == 'validation' for a in articles)} validation), "
        f"{len(paragraphs)} paragraphs (words min {min(words)}, mean {sum(words) / len(words):.0f}, max {max(words)}), "
        f"{len(answerable)} answerable ({sum(len(q.answers) > 1 for q in answerable)} with several answers), "
        f"{len(asked) - len(answerable)} unanswerable"
    )


def main(arguments: list[str]) -> int:
    try:
        if files := [Path(name) for name in arguments if not name.startswith("--")]:
            for path in files:
                print(path.name, statistics(parse(path)), sep=": ")
            return 0
        rendered = render()
    except CorpusError as error:
        print(f"corpus: {error}", file=sys.stderr)
        return 2
    stale = [
        name
        for name, text in rendered.items()
        if not (TARGET / name).is_file() or (TARGET / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        print(f"stale: {', '.join(stale)}" if stale else "up to date")
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, text in rendered.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    print(statistics([article for path in sorted(HERE.glob("*.txt")) for article in parse(path)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
