"""Reads the code blocks of the docs, runs the Python ones and compares what they print."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_DECIMAL = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?(?![\w.])")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of its page on which the text begins."""

    language: str
    text: str
    page: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["text"], page.name, text.count("\n", 0, found.start("text")) + 1)
        for found in _FENCE.finditer(text)
    ]


def run_blocks(blocks: list[Block], names: dict[str, Any]) -> list[tuple[Block, str, Block | None]]:
    """Run the Python blocks one after another in one namespace.

    Returns:
        Each with what it printed, and the `text` block that follows it, where there is one.
    """
    ran = []
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language != "python":
            continue
        said = io.StringIO()
        code = compile("\n" * (block.line - 1) + block.text, block.page, "exec")
        with contextlib.redirect_stdout(said):
            exec(code, names)
        ran.append((block, said.getvalue(), after if after and after.language == "text" else None))
    return ran


def same_output(printed: str, shown: str, tolerance: float = 0.05) -> bool:
    """Whether two outputs are the same but for the last digits of their decimal numbers."""
    if _DECIMAL.sub("#", printed).split() != _DECIMAL.sub("#", shown).split():
        return False
    pairs = zip(_DECIMAL.findall(printed), _DECIMAL.findall(shown), strict=True)
    return all(abs(float(one) - float(other)) <= tolerance * max(1.0, abs(float(other))) for one, other in pairs)


def command_lines(page: Path) -> list[tuple[str, list[str]]]:
    """Every `spantune …` line of a page's shell blocks: where it stands, and its words behind `spantune`."""
    found = []
    for block in blocks_of(page):
        if block.language not in ("sh", "powershell", "console"):
            continue
        joined = re.sub(r"[\\`]\n\s*", lambda gap: " ", block.text)
        for line in joined.splitlines():
            command = re.match(r"(?:\$ |.*\| )?(?:\S*[/\\])?spantune (.*)", line.strip())
            if command:
                words = shlex.split(re.sub(r"\s[|>].*$", "", command[1]), comments=True)
                found.append((f"{block.page}: {line.strip()}", words))
    return found
