"""`spantune serve`: the web app."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace

from spantune.cli.output import printable
from spantune.config import ServeConfig
from spantune.config.parse.command import Command


class PrintableFormatter(logging.Formatter):
    """Shows the control characters that a request or a file name brings into the log."""

    def format(self, record: logging.LogRecord) -> str:
        """As in logging."""
        return printable(super().format(record))


def run(config: ServeConfig) -> None:
    """Listen, load the models, and answer until stopped; then finish the requests that are running."""
    from spantune.web.server import serve

    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(PrintableFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    token = config.token or os.environ.get("SPANTUNE_TOKEN") or None
    serve(replace(config, token=token), lambda line: print(printable(line), flush=True))


COMMAND = Command(
    name="serve",
    config=ServeConfig,
    run=run,
    examples="""
# the models of `make demo`, or else the adapters that ship with spantune, on http://127.0.0.1:8000
spantune serve
# two runs and a study, on another port
spantune serve runs/lora-0 runs/full-0 studies/compare --port 8080
# for the whole team; uploads and corrections need the token that is printed
spantune serve studies/compare --host 0.0.0.0
""",
)
