"""The drawing in docs/design.md is the house: its rooms, what may import what, and where torch is."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "spantune"


def _drawing() -> dict[str, str]:
    """Room to what its third column says of torch, in the order of design.md's table."""
    house = (DOCS / "design.md").read_text(encoding="utf-8").partition("## The forward rule")[0]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| [^|]+ \| ([^|]+) \|$", house, re.MULTILINE)
    return {name: torch for names, torch in rows for name in re.findall(r"`(\w+)`", names)}


@cache
def _imports(file: Path, *, on_import: bool) -> set[str]:
    """Modules that a file imports at all, or (`on_import`) when it is imported; not those for type checkers."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if on_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.Import):
            found.update(one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module, *(f"{node.module}.{one.name}" for one in node.names)})
        for inner in ast.iter_child_nodes(node):
            visit(inner)

    visit(ast.parse(file.read_text(encoding="utf-8")))
    return found


@cache
def _file_of(module: str) -> Path | None:
    path = ROOT / "src" / Path(*module.split("."))
    return next((one for one in (path / "__init__.py", path.with_suffix(".py")) if one.is_file()), None)


def _needs_torch(file: Path) -> bool:
    """Whether importing a file imports torch or transformers, directly or through other files of the package."""
    seen, waiting = {file}, [file]
    while waiting:
        modules = _imports(waiting.pop(), on_import=True)
        if any(name.split(".")[0] in ("torch", "transformers") for name in modules):
            return True
        ours = {name for name in modules if name.startswith("spantune.")}
        reached = {_file_of(name) for one in ours for name in (one, one.rpartition(".")[0])} - {None, *seen}
        seen |= reached
        waiting += reached
    return False


def test_the_rooms_are_those_of_the_package() -> None:
    assert _drawing().keys() == {one.parent.name for one in PACKAGE.glob("*/__init__.py")} | {"errors"}


@pytest.mark.parametrize("room", _drawing())
def test_rooms_import_only_what_stands_above(room: str) -> None:
    order = list(_drawing())
    allowed = {*order[: order.index(room) + 1], "errors", "config", "__version__"}
    for file in (PACKAGE / room).glob("*.py"):
        used = {name.split(".")[1] for name in _imports(file, on_import=False) if name.startswith("spantune.")}
        assert used <= allowed, file.name


@pytest.mark.parametrize("room", _drawing())
def test_torch_is_where_the_table_says(room: str) -> None:
    said = _drawing()[room]
    files = sorted((PACKAGE / room).glob("*.py")) or [PACKAGE / f"{room}.py"]
    heavy = {file.stem for file in files if _needs_torch(file)}
    if said == "yes":
        assert "__init__" in heavy
    else:
        assert heavy == set(re.findall(r"`(\w+)`", said))
