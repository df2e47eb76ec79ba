"""What is published names no folder of the machine that it was made on."""

from __future__ import annotations

import pytest

from spantune.records import without_paths


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/ada/data/dev.json", "dev.json"),
        ("data/dev.json", "data/dev.json"),
        ("https://arxiv.org/abs/2004.14444", "https://arxiv.org/abs/2004.14444"),
        ("read /tmp/a/b.json and /tmp/c.json", "read b.json and c.json"),
        ("/v1", "/v1"),
        ("EM and/or F1", "EM and/or F1"),
        ("--data=/home/ada/x.json", "--data=x.json"),
    ],
)
def test_folders_go_and_names_stay(text: str, kept: str) -> None:
    assert without_paths(text) == kept


def test_it_reaches_everything_and_changes_nothing_else() -> None:
    content = {
        "command": ["/opt/bin/spantune", "train"],
        "config": {"data": ("/d/one.json",), "epochs": 2.0, "x": None},
    }
    assert without_paths(content) == {
        "command": ["spantune", "train"],
        "config": {"data": ["one.json"], "epochs": 2.0, "x": None},
    }
