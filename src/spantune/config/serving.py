"""Settings of the web app."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from spantune.config.commands import PredictorConfig, positional
from spantune.config.training import Allowed, ConfigGroup, Count, check

_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class LimitsConfig(ConfigGroup):
    """Limits for a request, for a client, and for all of them together."""

    max_context: Count = 20_000
    """Longest context, in characters."""
    max_question: Count = 1_000
    """Longest question, in characters."""
    max_questions: Count = 64
    """Most questions in one request to the API."""
    max_document: Count = 100_000
    """Longest document, in characters of its text."""
    max_upload_mb: Annotated[float, Allowed("above 0, at most 100", lambda value: 0 < value <= 100)] = 10.0
    """Largest upload, in 10^6 bytes."""
    batch: Count = 16
    """Questions from different requests that are answered together; more are faster on a GPU, but not on a CPU."""
    waiting: Count = 64
    """Requests that may wait for the models; further ones are refused at once (503)."""
    questions_per_minute: Annotated[int | None, Allowed("0 or more", lambda value: value >= 0)] = None
    """Questions that one client may ask per minute (429 beyond that); 0: no limit. Default: no limit if only this
    machine reaches the app, else 600."""


@dataclass(frozen=True)
class ServeConfig(PredictorConfig, LimitsConfig):
    """Ask finished runs in the browser, side by side, and through an API."""

    runs: tuple[str, ...] = positional((), "RUN|STUDY")
    """Run folders, and study folders for their finished runs: for each method and encoder the one with the lowest
    seed (not the best one, which would select on the reported set); `zoo` for all adapters that ship with spantune.
    Default: studies/demo if it exists (`make demo`), else the zoo."""
    host: Annotated[str, Allowed("an address", lambda value: bool(value.strip()))] = "127.0.0.1"
    """Address to listen on; `0.0.0.0` is all of this machine's, and uploads and corrections then need the token."""
    port: Annotated[int, Allowed("0 to 65535", lambda value: 0 <= value <= 65535)] = 8000
    """Port to listen on; 0 chooses a free one."""
    names: tuple[str, ...] = ()
    """Further host names of the app, as browsers see it behind a proxy: `qa.example.org`."""
    proxy: str | None = None
    """Address of the reverse proxy whose X-Forwarded headers are trusted; default: none."""
    token: str | None = None
    """Secret for uploads and corrections if other machines reach the app; default: generated at the start and printed.
    The environment variable SPANTUNE_TOKEN sets it without showing it to `ps`."""
    data_dir: str = "spantune-web"
    """Folder for what users enter: corrections.sqlite3."""

    def problems(self) -> Iterable[str | None]:
        for name, value in {"runs": " ".join(self.runs), "host": self.host, "data_dir": self.data_dir}.items():
            yield check(_nameable(value), name, "a text without NUL and halves of characters", value)
        yield check(not os.path.isfile(self.data_dir), "data_dir", "a folder", self.data_dir)
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            yield f"token: expected {_SHORTEST_TOKEN} characters or more, found {len(self.token)}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the app."""
        return is_loopback(self.host) and not self.names and self.proxy is None

    @property
    def rate(self) -> int:
        """Questions per minute for one client; 0: no limit."""
        if self.questions_per_minute is not None:
            return self.questions_per_minute
        return 0 if self.loopback else 600


def _nameable(text: str) -> bool:
    """Whether a file or a host may have this name."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeError:
        return False


def is_loopback(host: str) -> bool:
    """Whether an address or a name means this machine alone."""
    bare = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"
