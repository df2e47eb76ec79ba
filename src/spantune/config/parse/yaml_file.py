"""YAML as people write it: `1e-3` is a number, and a key given twice is a mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spantune.errors import ConfigError

# PyYAML keeps to YAML 1.1, where `1e-3` is text. This is the number of YAML 1.2's core schema.
_FLOAT = re.compile(
    r"^[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?$|^[-+]?[0-9]+[eE][-+]?[0-9]+$"
    r"|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
)


_DEEPEST = 20
"""Levels of a configuration: far more than any has, and too few to exhaust the stack."""
_LARGEST = 1_000_000
"""Characters of a configuration."""


class _Loader(yaml.SafeLoader):
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):  # a few lines of them can stand for gigabytes
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "an alias (*name), which a configuration does without", mark)
        self._depth += 1
        if self._depth > _DEEPEST:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"more than {_DEEPEST} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice, on lines {seen[key]} and {line}", key_node.start_mark
                )
            seen[key if isinstance(key, str) else line] = line
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader above would take for a number."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def read(path: Path) -> dict[Any, Any]:
    """The mapping in a configuration file; {} for an empty file.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, a key twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("the configuration is not UTF-8 text", where=f"{path}, byte {error.start}") from error
    except OSError as error:
        raise ConfigError(
            "the configuration cannot be read", where=str(path), found=error.strerror or str(error)
        ) from error
    if len(text) > _LARGEST:
        found = f"{len(text):,} characters"
        raise ConfigError("the configuration is too long", where=str(path), expected="some lines", found=found)
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError("the configuration is not valid YAML", **_place(path, error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(
            "the configuration is not a mapping",
            where=str(path),
            expected="lines of the form `max_length: 384`",
            found=f"{type(value).__name__} {str(value)[:60]!r}",
        )
    return value


def write(values: Mapping[str, Any], *, unicode: bool = True) -> str:
    """The values as YAML, in their order, that `read` gives back unchanged."""
    text: str = yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=unicode, width=110)
    return text


def _place(path: Path, error: Exception) -> dict[str, str]:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return {"where": f"{path}, line {mark.line + 1}, column {mark.column + 1}", "found": error.problem or "?"}
    return {"where": str(path), "found": " ".join(str(error).split())}
