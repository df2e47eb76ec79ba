from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spantune.config.parse import yaml_file
from spantune.errors import ConfigError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("1E5", 1e5), ("-.5", -0.5), ("2.", 2.0), ("1.5e-2", 0.015)]
)
def test_numbers_as_people_write_them(tmp_path: Path, text: str, value: float) -> None:
    assert yaml_file.read(written(tmp_path, f"rate: {text}\n")) == {"rate": value}


@pytest.mark.parametrize("text", ["e5", "1e", "'1e-3'", "v1.1"])
def test_text_that_only_resembles_a_number(tmp_path: Path, text: str) -> None:
    assert isinstance(yaml_file.read(written(tmp_path, f"rate: {text} #\n"))["rate"], str)


def test_empty_file_and_byte_order_mark(tmp_path: Path) -> None:
    assert yaml_file.read(written(tmp_path, "# nothing\n")) == {}
    assert yaml_file.read(written(tmp_path, b"\xef\xbb\xbfseed: 1\r\nmodel: b\r\n")) == {"seed": 1, "model": "b"}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("seed: 1\nepochs: 2\nseed: 3\n", ["line 3", "'seed' is given twice, on lines 1 and 3"]),
        ("lora:\n  rank: 1\n  rank: 2\n", ["line 3", "'rank' is given twice"]),
        ("seed: [1\n", ["line 2", "not valid YAML"]),
        ("- seed\n", ["not a mapping", "list"]),
        ("seed 3\n", ["not a mapping", "'seed 3'"]),
        (b"seed: \xff\n", ["not UTF-8", "byte 6"]),
        ("seed: !!python/object:os.system {}\n", ["not valid YAML", "python/object"]),
        ("day: 2024-13-45\n", ["not valid YAML"]),
        ("[1]: 2\n", ["settings.yaml"]),
    ],
)
def test_broken_files_are_explained(tmp_path: Path, content: str | bytes, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        yaml_file.read(written(tmp_path, content))
    for part in [*parts, "settings.yaml"]:
        assert part in str(raised.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            yaml_file.read(path)


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), plain | st.lists(plain, max_size=3)), st.booleans())
def test_what_is_written_is_read_back(tmp_path_factory: Any, values: dict[str, Any], unicode: bool) -> None:
    text = yaml_file.write(values, unicode=unicode)
    assert unicode or text.isascii()
    assert yaml_file.read(written(tmp_path_factory.mktemp("yaml"), text)) == values


@pytest.mark.parametrize("text", ["1e-3", "1_000", "no", "null", "~", "2024-01-01", "1:30", "#", "é\U0001f600", "a: b"])
def test_text_stays_text(tmp_path: Path, text: str) -> None:
    assert yaml_file.read(written(tmp_path, yaml_file.write({"model": text}))) == {"model": text}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "an alias"),
        ("a: " + "[" * 5_000, "more than 20 levels"),
        ("a: " + "{b: " * 5_000, "more than 20 levels"),
        ("{[1]: 2}", "unhashable"),
        ("a: " + "x" * 1_000_001, "1,000,004 characters"),
    ],
    ids=["aliases", "lists", "mappings", "a list as a key", "long"],
)
def test_hostile_files_cost_neither_time_nor_memory(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "hostile.yaml").write_text(content)
    begun = time.process_time()
    with pytest.raises(ConfigError, match=words):
        yaml_file.read(tmp_path / "hostile.yaml")
    assert time.process_time() - begun < 2
