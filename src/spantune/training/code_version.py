"""Which version of spantune's code made a run's numbers: a digest of the sources that a run goes through."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

import spantune
from spantune.methods import get

_ROOT = Path(spantune.__file__).parent
_BEGIN = "spantune.training.run"
_ROOMS = ("data", "methods", "modeling", "answering", "scoring", "training")
"""Settings are compared by themselves, the other rooms keep books or show what there is."""
_RULE = "2:"
"""Before every digest of this rule: digests of different rules cannot be compared."""


@cache
def code_version(method: str) -> str | None:
    """`2:` and a SHA-256 (16 digits) over what `training/run.py` and the method's file reach by imports in the rooms
    that make numbers.

    Comments, docstrings and layout do not count, nor do the files of other methods: what is finished stays finished
    when a method is added. Libraries do not count either; their versions are in the record.

    Returns:
        None if the sources are not at hand.
    """
    begin = (_BEGIN, get(method).inject.__module__)
    if not all(map(_path_of, begin)):
        return None
    reached = _reached(*begin)
    digest = hashlib.sha256()
    for module, code in sorted(reached.items()):
        digest.update(f"{module}\n{code}\n".encode())
    return f"{_RULE}{digest.hexdigest()[:16]}"


def is_other_code(before: str | None, now: str | None) -> bool:
    """Whether two runs were made by different code, as far as is known: digests of an earlier rule say nothing."""
    if before is None or now is None or not before.startswith(_RULE):
        return False
    return before != now


def _reached(*modules: str) -> dict[str, str]:
    """The code of these modules and of all that they import, in functions, too."""
    reached: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in reached and (path := _path_of(module)) is not None:
            reached[module], imported = _read(path)
            waiting += imported
    return reached


def _path_of(module: str) -> Path | None:
    """Its file in one of the rooms; None for other modules and for names that are no module."""
    package, *parts = module.split(".")
    if package != "spantune" or not parts or parts[0] not in _ROOMS:
        return None
    path = _ROOT.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """A file's code without comments, docstrings and layout, and the names that it imports."""
    tree = ast.parse(path.read_bytes())
    imported: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [statement for statement in node.body if not _is_text(statement)] or [ast.Pass()]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
    return ast.unparse(tree), tuple(imported)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
