"""The rules of the house: which room may import which, what must not pull in torch, how long a file may be."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import spantune
from spantune.methods import methods

ROOT = Path(spantune.__file__).parent
# A room imports only from rooms before it, and from these two, which import from no room.
ORDER = (
    *("zoo", "methods", "data", "runs", "modeling", "answering", "scoring", "tracking", "reports"),
    *("training", "studies", "web", "cli"),
)
FOR_ALL = ("errors", "config")
FILES = sorted(ROOT.rglob("*.py"))
HEAVY = ("torch", "transformers", "peft", "accelerate", "datasets", "mlflow", "pandas", "pyarrow", "matplotlib")
LONGEST = 400


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """`data/source.py` for a file, as it stands in messages."""
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import from this package, in functions and under TYPE_CHECKING, too: types couple rooms.

    `from spantune import x` names a room with x; relative imports are not used.
    """
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "spantune" and len(parts) > 1 and parts[1] in (*ORDER, *FOR_ALL):
                yield node.lineno, parts[1]


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms - set(FOR_ALL) == set(ORDER)
    assert all((ROOT / room / "__init__.py").is_file() for room in rooms)
    alone = {path.stem for path in ROOT.glob("*.py")}
    assert alone == {"__init__", "__main__", "errors"}


def test_a_room_imports_only_from_rooms_before_it() -> None:
    wrong = []
    for path in FILES:
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room == "__main__":
            continue
        allowed = set(FOR_ALL[:1] if room == "config" else () if room == "errors" else FOR_ALL)
        allowed |= {room, *(ORDER[: ORDER.index(room)] if room in ORDER else ())}
        wrong += [f"{name_of(path)}:{line} imports {other}" for line, other in imports(path) if other not in allowed]
    assert not wrong


def test_a_part_of_the_web_app_can_be_deleted() -> None:
    """No sub-package of web imports another one, and of the files beside them only `app.py` imports any."""
    web = ROOT / "web"
    parts = {path.parent.name for path in web.glob("*/__init__.py")}
    wrong = []
    for path in web.rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spantune.web"):
                names = {f"{node.module}.{alias.name}".split(".")[2] for alias in node.names}
                allowed = parts if path == web / "app.py" else {path.relative_to(web).parts[0]}
                wrong += [f"{name_of(path)}:{node.lineno} imports {name}" for name in names & parts - allowed]
    assert len(parts) == 5 and not wrong


def test_the_rule_sees_a_wrong_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule above reads every kind of import."""
    source = (
        "def f():\n    from spantune.cli import main\nimport spantune.studies.run_state\nfrom spantune import reports\n"
    )
    monkeypatch.setitem(globals(), "tree_of", lambda path: ast.parse(source))
    assert sorted(imports(ROOT / "data" / "invented.py")) == [(2, "cli"), (3, "studies"), (4, "reports")]


def imported_files(tree: ast.Module, by_module: dict[str, str]) -> set[str]:
    """Files that a file imports anywhere, in functions and under TYPE_CHECKING too.

    The `__init__` of a package only passes on names of its files, so importing from it couples no two files.
    """
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return {by_module[module] for module in modules & by_module.keys()}


def circles(imported: dict[str, set[str]]) -> set[frozenset[str]]:
    """Groups of files each of which reaches all others of its group by imports."""
    reached: dict[str, set[str]] = {}
    for file in imported:
        waiting, seen = [file], set[str]()
        while waiting:
            following = imported[waiting.pop()] - seen
            seen |= following
            waiting += following
        reached[file] = seen
    return {frozenset(other for other in reached[file] if file in reached[other]) for file in imported} - {frozenset()}


def test_files_import_one_another_in_no_circle() -> None:
    files = [path for path in FILES if path.name != "__init__.py"]
    by_module = {".".join(("spantune", *path.relative_to(ROOT).with_suffix("").parts)): name_of(path) for path in files}
    found = circles({name_of(path): imported_files(tree_of(path), by_module) for path in files})
    assert not found


def test_the_rule_sees_deferred_and_typed_circles() -> None:
    by_module = {f"spantune.room.{name}": name for name in "abcd"}
    sources = {
        "a": "def f():\n    from spantune.room import b",
        "b": "if TYPE_CHECKING:\n    from spantune.room.c import C",
        "c": "import spantune.room.a",
        "d": "from spantune.room import C\nfrom spantune.room.a import A",
    }
    imported = {name: imported_files(ast.parse(source), by_module) for name, source in sources.items()}
    assert circles(imported) == {frozenset("abc")}


def test_a_class_name_exists_once() -> None:
    counts = Counter(node.name for path in FILES for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef))
    assert not {name for name, times in counts.items() if times > 1}


_STANDARD_LIBRARY_ALONE = {"official_metrics", "prediction_files"}
_WITH_A_MODEL = {"__init__", "score_run"}
STATISTICS = sorted({path.stem for path in (ROOT / "scoring").glob("*.py")} - _STANDARD_LIBRARY_ALONE - _WITH_A_MODEL)
LIGHT = {
    "spantune": (*HEAVY, "numpy", "pydantic"),
    "spantune.config": (*HEAVY, "numpy"),
    "spantune.data": (*HEAVY, "numpy"),
    "spantune.methods": (*HEAVY, "numpy"),
    "spantune.methods.registry": (*HEAVY, "numpy"),
    "spantune.answering": HEAVY,
    "spantune.answering.windows": HEAVY,
    "spantune.answering.span_collector": HEAVY,
    "spantune.scoring": (*HEAVY, "numpy"),
    "spantune.scoring.prediction_files": (*HEAVY, "numpy"),
    "spantune.scoring.official_metrics": (*HEAVY, "numpy"),
    **{f"spantune.scoring.{name}": (*HEAVY, "scipy") for name in STATISTICS},
    "spantune.runs": HEAVY,
    "spantune.runs.manifest": HEAVY,
    "spantune.reports": (*HEAVY, "jinja2"),
    "spantune.reports.tables.main_table": HEAVY,
    "spantune.reports.figures.files": ("torch", "transformers", "peft", "datasets", "mlflow"),
    "spantune.studies": HEAVY,
    "spantune.web": HEAVY,
    "spantune.cli": HEAVY,
    "spantune.cli.main": HEAVY,
}


def test_light_modules_import_nothing_heavy() -> None:
    """One process for each would take a second each: one process imports all and forgets spantune in between."""
    probe = """
import importlib, json, sys
light, found = json.loads(sys.argv[1]), {}
for name, forbidden in light.items():
    before = {one for one in sys.modules if one.split(".")[0] in forbidden}
    assert not before, before
    importlib.import_module(name)
    found[name] = sorted({one.split(".")[0] for one in sys.modules} & set(forbidden))
    for one in [one for one in sys.modules if one.split(".")[0] in ("spantune", *forbidden)]:
        del sys.modules[one]
print(json.dumps(found))
"""
    # numpy does not bear being imported twice, so what forbids it goes first.
    ordered = dict(sorted(LIGHT.items(), key=lambda item: ("numpy" not in item[1], "matplotlib" not in item[1])))
    done = subprocess.run([sys.executable, "-c", probe, json.dumps(ordered)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {name: heavy for name, heavy in json.loads(done.stdout).items() if heavy} == {}


def test_every_module_can_be_imported() -> None:
    for path in FILES:
        if path.name != "__main__.py":
            parts = ("spantune", *path.relative_to(ROOT).with_suffix("").parts)
            importlib.import_module(".".join(parts).removesuffix(".__init__"))


def test_no_file_is_too_long_to_read() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_file_is_called_after_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert [name_of(path) for path in FILES if path.stem in nothing or path.parent.name in nothing] == []


def method_names_outside(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names of methods in comparisons, in `match` patterns and as keys of dictionaries: a branch on the name."""
    names = set(methods())

    def literals(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            for one in node.elts:
                yield from literals(one)

    for node in ast.walk(tree):
        looked_at: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            looked_at = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            looked_at = [node.value]
        elif isinstance(node, ast.Dict):
            looked_at = [key for key in node.keys if key is not None]
        for one in looked_at:
            yield from ((one.lineno, name) for name in literals(one) if name in names)  # type: ignore[attr-defined]


def test_nothing_outside_methods_branches_on_a_methods_name() -> None:
    found = [
        f"{name_of(path)}:{line} {name!r}"
        for path in FILES
        if path.relative_to(ROOT).parts[0] != "methods"
        for line, name in method_names_outside(tree_of(path))
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        'x == "lora"',
        'x in ("a", "prefix-tuning")',
        '"ia3" != x',
        '{"loha": 1}[x]',
        'match x:\n    case "prompt-encoder":\n        pass',
    ],
)
def test_the_rule_sees_a_branch_on_a_methods_name(source: str) -> None:
    assert list(method_names_outside(ast.parse(source)))


def test_tests_mirror_the_package() -> None:
    rooms = {path.name for path in Path(__file__).parent.iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    assert set(ORDER) - rooms == set(), "a room without tests"
