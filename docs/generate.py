"""Writes the generated parts of the docs: `python docs/generate.py [--check] [--tour] [--figures]`.

A generated part is between `<!-- generated: NAME -->` and `<!-- /generated -->`; NAME is a key of `PARTS`.
`--check` changes nothing and exits with 1 where a part is stale. `--tour` also runs the tour (half a minute) and writes
down what its blocks print. `--figures` also draws the figures of the published results.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from blocks import PAGES, ROOT, blocks_of, run_blocks
from methods_page import encoder_families, methods_sections, methods_table, support_matrix, table
from results_page import PARTS as RESULTS
from results_page import figures

_PART = re.compile(r"(?P<begin><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- /generated -->)", re.DOTALL)


def commands() -> str:
    """A line for each subcommand."""
    from spantune.cli.main import COMMANDS

    return table(("Command", "What it does"), [(f"`{one.name}`", one.summary) for one in COMMANDS.values()])


def sample_statistics() -> str:
    """Counts and lengths of the embedded corpora."""
    from spantune.data import sample_statistics

    found = sample_statistics()
    counted = ("questions", "contexts", "answerable", "unanswerable", "answers", "several answers")
    rows = [(title, *(f"{counts[title]:,}" for counts, _ in found.values())) for title in counted]
    for title in next(iter(found.values()))[1]:
        spread = (lengths[title] for _, lengths in found.values())
        rows.append((f"{title} (median, max)", *(f"{one.median:g}, {one.max:,}" for one in spread)))
    return table(("", *found), rows, right=tuple(found))


def defect_kinds() -> str:
    """What the doctor looks for."""
    from spantune.data.checks.defects import KINDS

    rows = [(f"`{name}`", "refused" if kind.blocking else "note", kind.summary) for name, kind in KINDS.items()]
    return table(("Kind", "Training", "Meaning"), rows)


def dimensions() -> str:
    """How questions are divided into slices."""
    from spantune.scoring.dimensions import DIMENSIONS

    rows = [(one.name, ", ".join(one.slices), one.rule) for one in DIMENSIONS]
    return table(("Dimension", "Slices", "Rule"), rows)


def error_kinds() -> str:
    """What kinds of prediction there are."""
    from spantune.scoring.error_kinds import KINDS

    return table(("Kind", "Meaning"), list(KINDS.items()))


def record_fields() -> str:
    """Every key of record.json."""
    from spantune.config.parse.fields import field_texts
    from spantune.runs import record

    groups: Mapping[str, tuple[str, type]] = {
        "data": ("data.SET.", record.DataRecord),
        "parameters": ("parameters.", record.ParameterCount),
        "timings": ("timings.", record.Timings),
        "answering": ("answering.FORM.", record.AnswerSpeed),
        "best": ("best.", record.Best),
    }
    read = field_texts(record.__name__)
    texts = {key: re.sub(r"\bNone\b", "null", text) for key, text in read.items()}  # as JSON calls it
    rows = [("`format`", f"Number of this layout, {record.FORMAT}.")]
    for name in record.RunRecord.__dataclass_fields__:
        if text := texts.get(("RunRecord", name)):
            rows.append((f"`{name}`", text))
        if name in groups:
            prefix, group = groups[name]
            rows += [(f"`{prefix}{one}`", texts[group.__name__, one]) for one in group.__dataclass_fields__]
    return table(("Key", "Meaning"), rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "methods-table": methods_table,
    "methods-sections": methods_sections,
    "encoder-families": encoder_families,
    "support-matrix": support_matrix,
    "sample-statistics": sample_statistics,
    "defect-kinds": defect_kinds,
    "dimensions": dimensions,
    "error-kinds": error_kinds,
    "record-fields": record_fields,
    **RESULTS,
}


def regenerated(text: str) -> str:
    """A page with all its generated parts made again; KeyError for a part that nothing makes."""
    return _PART.sub(lambda part: f"{part['begin']}\n{PARTS[part['name']]()}\n\n{part['end']}", text)


def stale() -> list[Path]:
    """The pages with a part that is not up to date."""
    return [page for page in PAGES if regenerated(text := page.read_text(encoding="utf-8")) != text]


def retold(page: Path) -> str:
    """A page whose Python blocks were run: the `text` block after each says what it printed."""
    lines = page.read_text(encoding="utf-8").split("\n")
    for _, printed, after in reversed(run_blocks(blocks_of(page), {})):
        if after is not None:
            first = after.line - 1
            lines[first : first + len(after.text.splitlines())] = printed.rstrip("\n").split("\n")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    unknown = set(arguments) - {"--check", "--tour", "--figures"}
    if unknown:
        print(f"unknown: {' '.join(sorted(unknown))}\n\n{__doc__}", file=sys.stderr)
        return 2
    if "--check" in arguments:
        names = [str(page.relative_to(ROOT)) for page in stale()]
        if names:
            print(f"stale: {', '.join(names)}; mend with: python docs/generate.py", file=sys.stderr)
        return 1 if names else 0
    for page in stale():
        page.write_text(regenerated(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"written: {page.relative_to(ROOT)}")
    if "--figures" in arguments:
        for path in figures():
            print(f"written: {path.relative_to(ROOT)}")
    if "--tour" in arguments:
        tour, here = ROOT / "docs" / "tour.md", Path.cwd()
        with tempfile.TemporaryDirectory() as elsewhere:
            os.chdir(elsewhere)  # the tour writes a run folder
            text = retold(tour)
            os.chdir(here)
        tour.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
