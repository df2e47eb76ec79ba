"""What is published names no folder of the machine that it was made on."""

from __future__ import annotations

import pytest

from spantune.runs import command_line, without_password, without_paths


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


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://me:secret@host:5000/x", "https://host:5000/x"),
        ("https://token@host", "https://host"),
        ("postgresql+psycopg2://me:s@cr:et@host/base", "postgresql+psycopg2://host/base"),
        ("--storage=postgresql://me:secret@host/base", "--storage=postgresql://host/base"),
        ("sqlite:////a b/me@home/mlflow.db", "sqlite:////a b/me@home/mlflow.db"),
        ("me@host", "me@host"),
        ("http://[x", "http://[x"),
        ("https://me:secret@[x", "https://[x"),
    ],
)
def test_addresses_are_shown_without_their_secrets(text: str, kept: str) -> None:
    assert without_password(text) == kept


def test_a_command_line_keeps_no_password_however_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["spantune", "compare", "--tracking-uri", "https://me:secret@host", "--storage=postgresql://me:secret@host"]
    monkeypatch.setattr("sys.argv", given)
    assert command_line() == (*given[:3], "https://host", "--storage=postgresql://host")


def test_it_reaches_everything_and_changes_nothing_else() -> None:
    content = {
        "command": ["/opt/bin/spantune", "train"],
        "config": {"data": ("/d/one.json",), "epochs": 2.0, "x": None},
    }
    assert without_paths(content) == {
        "command": ["spantune", "train"],
        "config": {"data": ["one.json"], "epochs": 2.0, "x": None},
    }
