import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # made_panel.py, made_server.py, made_studies.py

from flask import Flask
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from made_panel import client, make  # noqa: F401
from made_server import run  # noqa: F401

from spantune.web import example_questions


class Compiled(BytecodeCache):
    """Templates by name, compiled."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def once_for_all_apps() -> Iterator[None]:
    """Nearly every test makes an app, and each app compiles its templates and reads the sample."""
    compiled, environment_of = Compiled(), Flask.create_jinja_environment

    def environment(app: Flask) -> Environment:
        made = environment_of(app)
        made.bytecode_cache = compiled
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Flask, "create_jinja_environment", environment)
        patched.setattr(example_questions, "_sample", cache(example_questions._sample))
        yield
