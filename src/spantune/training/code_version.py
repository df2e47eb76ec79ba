"""Which version of spantune's code made a run's numbers: a digest of the sources that can touch them."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import spantune
from spantune.methods import get

_ROOT = Path(spantune.__file__).parent
_ROOMS = ("data", "methods", "modeling", "answering", "scoring", "training")
"""Where numbers are made, if a run goes through. Settings are compared by themselves; reports show what there is."""
_NO_NUMBERS = {
    *(Path("training", f"{name}.py") for name in ("run_recorder", "code_version", "extra_measurements")),
    *(Path("modeling", f"{name}.py") for name in ("costs", "load_errors", "sanity_check", "peft_compat")),
    Path("answering", "speed.py"),
    Path("scoring", "semantic.py"),
    Path("data", "checks", "doctor.py"),
    Path("data", "hub.py"),
}
"""What keeps books, refuses, or measures what a finished run costs: no edit there changes an answer."""
_BEGIN = Path("training", "run.py")


@cache
def code_version(method: str) -> str | None:
    """SHA-256 (its first 16 digits) over the code that a run with this method goes through; None without sources.

    Comments, docstrings and layout do not count, nor do the files of other methods: what is finished stays finished
    when a method is added. Libraries do not count either; their versions stand in the record.
    """
    own = Path(*get(method).inject.__module__.split(".")[1:]).with_suffix(".py")
    try:
        reached = _reached(_BEGIN, own)
        digest = hashlib.sha256()
        for path in sorted(reached):
            code, _ = _read(path)
            digest.update(f"{path.as_posix()}\n{code}\n".encode())
    except OSError:
        return None
    return digest.hexdigest()[:16]


def _reached(*begin: Path) -> set[Path]:
    """The files that these import, and those that they import in turn, in the rooms that make numbers."""
    seen, waiting = set(begin), list(begin)
    while waiting:
        _, imported = _read(waiting.pop())
        waiting += imported - seen
        seen |= imported
    return seen


@cache
def _read(path: Path) -> tuple[str, frozenset[Path]]:
    """A file's code without comments, docstrings and layout, and the files that it imports."""
    tree = ast.parse((_ROOT / path).read_bytes())
    imported: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.update(_files([node.module, *(f"{node.module}.{one.name}" for one in node.names)]))
        elif isinstance(node, ast.Import):
            imported.update(_files([one.name for one in node.names]))
    return ast.unparse(tree), frozenset(imported)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def _files(names: list[str]) -> Iterator[Path]:
    for name in names:
        package, *parts = name.split(".")
        if package != "spantune" or not parts or parts[0] not in _ROOMS:
            continue
        for path in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
            if path not in _NO_NUMBERS and (_ROOT / path).is_file():
                yield path
