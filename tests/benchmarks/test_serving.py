"""The web app under load: the server's process, which never outlives the measurement."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from benchmarks import serving


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("print('listening on http://127.0.0.1:1', flush=True); import time; time.sleep(60)", "were not loaded"),
        ("import os, time; os.close(1); time.sleep(60)", "did not start"),
    ],
)
def test_a_server_that_does_not_get_ready_is_ended(program: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    def another(_: Any, **named: Any) -> subprocess.Popen[str]:
        started.append(real([sys.executable, "-c", program], **named))
        return started[0]

    real = subprocess.Popen
    monkeypatch.setattr(serving.subprocess, "Popen", another)
    monkeypatch.setattr(serving, "_LOADING_SECONDS", 0.0)
    with pytest.raises(SystemExit, match=words):
        serving.Server(["runs"], [])
    assert started[0].returncode is not None
