"""JSON files as the dataclasses that describe them, checked value by value: records and manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from spantune.errors import RunError
from spantune.runs.digests import is_sealed

FORMAT = 1
T = TypeVar("T")


def read_json(path: Path, what: str, fix: str = "train again") -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        what: the file holds, for a message: "run's record". fix: what helps where it is broken.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file. RunError: it cannot be read or is broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            if is_sealed(content) is False:
                found = "values that do not have the digest that was written with them"
                raise RunError(f"the {what} is damaged", where=str(path), found=found, fix=fix)
            return content
        found = type(content).__name__
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():  # something was there: a link to nothing is damage, not absence
            gone = f"a link to {path.readlink()}, which is not there"
            raise RunError(f"the {what} cannot be read", where=str(path), found=gone, fix="bring it back") from None
        raise
    except OSError as error:
        raise RunError(f"the {what} cannot be read", where=str(path), found=error.strerror) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON
        found = str(error)
    raise RunError(f"the {what} is broken", where=str(path), expected="a JSON object", found=found, fix=fix)


def from_json(kind: type[T], content: Mapping[str, Any], what: str, where: str, fix: str = "train again") -> T:
    """The dataclass `kind` with these values; unknown keys are ignored at every level, and no text becomes a number.

    Raises:
        RunError: another format, keys without a default are missing, or a value has the wrong type.
    """
    from pydantic import ValidationError

    if content.get("format") != FORMAT:
        raise RunError(
            f"the {what} has another format",
            where=where,
            expected=f"format {FORMAT}",
            found=f"format {content['format']!r}" if "format" in content else "no format number",
            fix=f"use the spantune version that wrote it, or {fix}",
        )
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(json.dumps(content, default=str), strict=True))
    except ValidationError as invalid:
        errors = [(".".join(map(str, error["loc"])), error) for error in invalid.errors(include_url=False)]
    if missing := [repr(key) for key, error in errors if error["type"] == "missing"]:
        expected = f"the key{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        raise RunError(f"the {what} is incomplete", where=where, expected=expected, fix=fix)
    key, error = errors[0]
    raise RunError(
        f"the {what} is broken",
        where=f"{where}, key {key!r}",
        expected=error["msg"].removeprefix("Input should be "),
        found=repr(error["input"])[:80],
        fix=fix,
    )


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter  # as late as this: help and completion do without it

    return TypeAdapter(kind)
