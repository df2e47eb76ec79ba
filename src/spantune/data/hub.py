"""The Hugging Face hub: whether it can be reached, and how to work without it if it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache

_CONNECT_SECONDS = 2


@contextmanager
def offline_where_there_is_no_network(*clients: object) -> Iterator[None]:
    """Use the hub client's cache at once if there is no connection; it would retry for up to a minute.

    Args:
        clients: modules that keep the flag a second time (`datasets.config`).
    """
    from unittest.mock import patch

    import huggingface_hub.constants as constants

    with ExitStack() as patched:
        for module in () if reachable(constants.ENDPOINT) else (constants, *clients):
            patched.enter_context(patch.object(module, "HF_HUB_OFFLINE", True))
        yield


@cache
def reachable(endpoint: str) -> bool:
    """Whether the hub takes a connection within seconds; a proxy is believed to make one."""
    import socket
    import urllib.parse
    import urllib.request

    if urllib.request.getproxies():
        return True
    place = urllib.parse.urlsplit(endpoint)
    port = place.port or (80 if place.scheme == "http" else 443)
    try:
        addresses = socket.getaddrinfo(place.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in addresses[:2]:
        with suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.settimeout(_CONNECT_SECONDS)
            probe.connect(address)
            return True
    return False
