"""Buckets: a minute's worth at once, then evenly, each client its own."""

from __future__ import annotations

from typing import Any

import pytest

from spantune.config import ServeConfig
from spantune.config.serving import is_loopback
from spantune.errors import ConfigError
from spantune.web import limits
from spantune.web.limits import Buckets, client_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_is_emptied_and_fills_up_again() -> None:
    clock = Clock()
    buckets = Buckets(60, clock)
    assert [buckets.take("a", 20) for _ in range(4)] == [0, 0, 0, 20]
    assert buckets.take("b", 60) == 0
    clock.now += 19.5
    assert buckets.take("a", 20) == 1
    clock.now += 0.5
    assert [buckets.take("a", 20), buckets.take("a")] == [0, 1]
    clock.now += 3600
    assert [buckets.take("a", 60), buckets.take("a")] == [0, 1], "it never holds more than a minute's worth"


def test_more_than_a_bucket_is_let_in_when_it_is_full_and_paid_later() -> None:
    clock = Clock()
    buckets = Buckets(60, clock)
    assert buckets.take("a", 90) == 0
    assert buckets.take("a") == 31
    clock.now += 31
    assert buckets.take("a") == 0


def test_no_limit_counts_nothing() -> None:
    buckets = Buckets(0)
    assert buckets.take("a", 10**9) == 0 and not buckets._left


def test_forgotten_clients_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_CLIENTS", 3)
    buckets = Buckets(1, Clock())
    for name in "abcda":
        buckets.take(name)
    assert list(buckets._left) == ["c", "d", "a"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 70_000}, "port: expected 0 to 65535, found 70000"),
        ({"host": " "}, "host: expected an address"),
        ({"max_context": 0}, "max-context: expected 1 or more, found 0"),
        ({"waiting": 0, "batch": 0}, "batch: expected 1 or more, found 0\n  waiting: expected 1 or more, found 0"),
        ({"max_upload_mb": 101.0}, "max-upload-mb: expected above 0, at most 100"),
        ({"questions_per_minute": -1}, "questions-per-minute: expected 0 or more"),
        ({"eval_batch_size": 0}, "eval-batch-size: expected 1 or more"),
        (
            {"runs": ("runs/a", "b\0")},
            r"NUL and halves of characters, found 'runs/a b\\x00'",
        ),
        ({"host": "a\0"}, "host: expected a text without NUL"),
        ({"data_dir": "\ud800"}, "data-dir: expected a text without NUL"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ServeConfig(**given)


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        *((one, True) for one in ("127.0.0.1", "127.8.8.8", "localhost", "[::1]", "::1")),
        *((one, False) for one in ("0.0.0.0", "::", "10.0.0.1", "localhost.example.org")),
    ],
)
def test_which_addresses_are_this_machine_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_who_is_one_client() -> None:
    assert client_of("192.0.2.1") == client_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert client_of("2001:db8::1") == client_of("2001:db8:0:0:9::2") != client_of("2001:db8:0:1::1")
    assert client_of("fe80::1%eth0") == client_of("fe80::2") and client_of("localhost") == "localhost"
