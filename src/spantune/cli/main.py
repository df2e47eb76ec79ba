"""Entry point: runs the subcommand and turns every outcome into a message and an exit code.

0: done. 1: something failed. 2: the user made a mistake. 141: the reader of the output has left. Interrupted: 130 by
Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from spantune import __version__
from spantune.cli import ask, compare, doctor, evaluate, methods, predict, recommend, report, score, serve, train, zoo
from spantune.cli.output import printable, quoted, speaks_unicode
from spantune.config.parse.command import Command
from spantune.errors import ConfigError, SpantuneError, did_you_mean
from spantune.runs.interruption import Interruption, asked, exit_code, interruptible

_FILES = (train, compare, report, recommend, evaluate, ask, serve, predict, score, methods, zoo, doctor)
COMMANDS = {file.COMMAND.name: file.COMMAND for file in _FILES}
_RESTARTS = ("--resume", "--overwrite")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with interruptible():
            return _outcome(words)
    except KeyboardInterrupt as stop:  # while the outcome was being printed
        return exit_code(stop)


def _outcome(words: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a Windows console that cannot show a symbol shows `?`
    # Users cannot act on deprecations in the libraries. Our own warnings are a plain line.
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.showwarning = _warn
    try:
        _dispatch(words)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse: 0 after the help
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt as stop:
        print(_interrupted(words), file=sys.stderr)
        return exit_code(stop)
    except BrokenPipeError:
        # Python flushes standard output at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if (number := asked()) is not None:
            print(_interrupted(words), file=sys.stderr)
            return exit_code(Interruption(number))
        return _explain(error, debug="--debug" in words or os.environ.get("SPANTUNE_DEBUG", "0") not in ("", "0"))
    return 0


def _dispatch(words: Sequence[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
    elif words[0] in ("-V", "--version"):
        print(f"spantune {__version__}")
    elif words[0] not in COMMANDS:
        what = "option" if words[0].startswith("-") else "command"
        raise ConfigError(f"there is no {what} {words[0]!r}", fix=did_you_mean(words[0], COMMANDS))
    else:
        _run(COMMANDS[words[0]], words[1:])


def _run(command: Command, argv: Sequence[str]) -> None:
    from spantune.config.parse import yaml_file
    from spantune.config.parse.parse import parse_command
    from spantune.methods import methods as registry

    parsed = parse_command(command, argv, registry())
    if parsed.general.print_config:
        print(yaml_file.write(parsed.as_yaml, unicode=speaks_unicode()), end="")
    else:
        command.run(parsed.config)


def _warn(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
    print(printable(f"warning: {message}"), file=sys.stderr)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return f"""usage: spantune COMMAND [OPTIONS]

Parameter-efficient fine-tuning of encoders for extractive question answering, compared fairly.

commands:
{commands}

Run spantune COMMAND --help for its options and examples, spantune --version for the version."""


def _interrupted(words: Sequence[str]) -> str:
    command = COMMANDS.get(words[0]) if words else None
    if command is None or command.resume is None:
        return "interrupted"
    again = [word for word in words if word not in _RESTARTS or not command.resume] + list(command.resume)
    return f"interrupted; resume with: spantune {quoted(again)}"


def _explain(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, SpantuneError):
        print(printable(str(error)), file=sys.stderr)
        return error.exit_code
    if not debug:
        shown = printable(" ".join(str(error).split())) or "no message"
        how = "set SPANTUNE_DEBUG=1 (or --debug) for the traceback"
        print(f"spantune failed: {type(error).__name__}: {shown}; {how}", file=sys.stderr)
    return 1
