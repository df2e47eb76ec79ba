from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import spantune
from spantune.cli import main as entry
from spantune.cli.main import COMMANDS, main
from spantune.cli.serve import PrintableFormatter
from spantune.errors import DataError, SpantuneError

Raises = Callable[[BaseException], None]


@pytest.fixture
def train_raises(monkeypatch: pytest.MonkeyPatch) -> Raises:
    """Makes `spantune train` end in an exception."""
    monkeypatch.delenv("SPANTUNE_DEBUG", raising=False)

    def set_up(error: BaseException) -> None:
        def run(config: object) -> None:
            raise error

        monkeypatch.setitem(entry.COMMANDS, "train", replace(COMMANDS["train"], run=run))

    return set_up


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"]):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert all(f"  {name} " in shown and command.summary in shown for name, command in COMMANDS.items())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spantune {spantune.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_flags_and_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: spantune {name}" in shown and "--print-config" in shown
    assert shown.index("examples:") > shown.index("--debug")
    assert f"  spantune {name}" in shown[shown.index("examples:") :]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_help_text(name: str) -> None:
    from spantune.config.parse.fields import settings_of
    from spantune.methods import methods

    assert [one.flag for one in settings_of(COMMANDS[name].config, methods()) if not one.help] == []


@pytest.mark.parametrize(
    ("words", "part"),
    [(["trian"], "did you mean 'train'?"), (["--methods"], "there is no option '--methods'"), (["x"], "known: ask")],
)
def test_unknown_command(words: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert part in shown.err and shown.out == ""


def test_mistakes_exit_with_2_and_the_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--learning-rat", "1", "--lora.rnk", "2"]) == 2
    assert capsys.readouterr().err == (
        "the settings are not valid:\n"
        "  --learning-rat: unknown, did you mean --learning-rate?\n"
        "  --lora.rnk: unknown, did you mean --lora.rank?\n"
    )
    assert main(["train", "--max-length", "3", "--doc-stride", "2"]) == 2
    assert capsys.readouterr().err == (
        "the configuration is not valid:\n  max-length: expected 16 tokens or more, found 3\n"
    )


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (DataError("bad data", where="x.json"), 2, "bad data\n  where:    x.json\n"),
        (SpantuneError("it broke"), 1, "it broke\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "spantune failed: OSError: [Errno 28] No space left on device; "
            "set SPANTUNE_DEBUG=1 (or --debug) for the traceback\n",
        ),
        (ValueError("two\nlines"), 1, "spantune failed: ValueError: two lines; set SPANTUNE_DEBUG=1 (or --debug) "
                                      "for the traceback\n"),
        (SystemExit(3), 3, ""),
        (KeyboardInterrupt(), 130, "interrupted; resume with: spantune train --lora.rank 3 --resume\n"),
    ],
)  # fmt: skip
def test_outcomes(
    error: BaseException, code: int, shown: str, train_raises: Raises, capsys: pytest.CaptureFixture[str]
) -> None:
    train_raises(error)
    assert main(["train", "--lora.rank", "3"]) == code
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize("error", [ValueError("inner"), DataError("inner")])
def test_debug_shows_the_traceback(
    error: Exception, train_raises: Raises, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_raises(error)
    code = main(["train", "--debug"])
    assert code == (2 if isinstance(error, DataError) else 1)
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SPANTUNE_DEBUG", "1")
    assert main(["train"]) == code
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SPANTUNE_DEBUG", "0")
    assert main(["train"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_resuming_does_not_overwrite(train_raises: Raises, capsys: pytest.CaptureFixture[str]) -> None:
    train_raises(KeyboardInterrupt())
    assert main(["train", "--overwrite", "--resume", "--data", "my file.json"]) == 130
    shown = capsys.readouterr().err
    assert "--overwrite" not in shown and shown.count("--resume") == 1
    assert shown.rstrip().endswith("--data 'my file.json' --resume") or os.name == "nt"


def test_print_config_runs_nothing(train_raises: Raises, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    train_raises(AssertionError("it ran"))
    assert main(["train", "--print-config", "--lora.rank", "3", "--experiment", "Größe"]) == 0
    first = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(first, encoding="utf-8")
    assert main(["train", "--print-config", "--config", str(tmp_path / "c.yaml")]) == 0
    assert capsys.readouterr().out == first
    assert "  rank: 3\n" in first and "Größe" in first


def spawned(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "spantune", *words],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(spantune.__file__).parents[1]), **environment},
        check=False,
    )


def test_a_console_without_the_symbols_is_no_failure() -> None:
    shown = spawned("train", "--help", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert shown.returncode == 0 and b"--max-length" in shown.stdout
    shown = spawned("train", "--modell", "\u2603", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert shown.returncode == 2 and b"did you mean --model?" in shown.stderr
    shown = spawned("train", "--print-config", "--experiment", "\u2603", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert shown.returncode == 0 and b'experiment: "\\u2603"' in shown.stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
def test_a_reader_that_has_left_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "spantune", "train", "--help"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(spantune.__file__).parents[1])},
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_shows_escapes_and_does_not_obey_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "no\x1b]0;title\x07run\x9b2J"]) == 2
    said = capsys.readouterr().err
    assert "\\x1b]0;title\\x07run\\x9b2J" in said and not set(said) & set("\x1b\x07\x9b") and said.count("\n") > 2
    record = logging.LogRecord("web", logging.ERROR, "", 0, "%r: %s", ("/\n\x1b", "a\x1b[2J\tb"), None)
    assert PrintableFormatter("%(levelname)s %(message)s").format(record) == "ERROR '/\\n\\x1b': a\\x1b[2J\tb"
