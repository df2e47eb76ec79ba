"""The app served by waitress: it listens, then loads the models, and finishes running requests before it ends."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from flask import Flask
from waitress import create_server
from werkzeug.wsgi import ClosingIterator

from spantune.config import ServeConfig
from spantune.errors import ConfigError
from spantune.runs.interruption import STOP_SIGNALS
from spantune.web.app import create_app
from spantune.web.connections import BoundedChannel, ConnectionBounds, RequestDispatcher, most_connections
from spantune.web.limits import body_bytes
from spantune.web.served_models import Runs, models_in, studies_in, what_to_serve
from spantune.web.state import EXTENSION, Web

_OTHER_THREADS = 16
"""Threads for pages, in addition to one for each request that waits or is being answered."""
_HEALTH_THREADS = 2
_IN_MEMORY = 250_000
"""Bytes of a request and of an answer that are kept in memory for each connection; the rest is in a file."""
_TO_FINISH = 60.0
"""Seconds for running requests to finish when the server is stopped."""
_READ_ANYWAY = 4
"""A body up to this many times too large is still read, so that the app refuses it with a page or a problem; waitress
refuses larger bodies at once, with a line of text."""

Say = Callable[[str], None]


def serve(settings: ServeConfig, say: Say = print) -> None:
    """Serve until SIGTERM or Ctrl-C; returns when the requests so far are answered.

    Raises:
        RunError: there is nothing to serve. ConfigError: the address cannot be listened on.
    """
    folders = what_to_serve(settings.runs)
    models = models_in(folders)
    with listening(settings) as open_socket:
        app = create_app(settings, Runs(models, settings), studies_in(folders))
        stop = threading.Event()
        with _on_signals(stop):
            serve_app(app, open_socket, stop, say)


def listening(settings: ServeConfig) -> socket.socket:
    """A socket that listens on the address; ConfigError if that cannot be."""
    try:
        bare = settings.host.strip("[]")
        family, _, _, _, address = socket.getaddrinfo(bare, settings.port, type=socket.SOCK_STREAM)[0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=settings.waiting + 200, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:  # a UnicodeError for what is no name, such as 127.0.0..1
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "not a name of a host"
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise ConfigError(
            "the port is taken" if taken else "the address cannot be listened on",
            where=f"{settings.host}:{settings.port}",
            found=reason.partition(" (while")[0],  # `create_server` adds the address
            fix=f"--port {settings.port + 1}, or --port 0 for any free one" if taken else "another --host or --port",
        ) from error


def serve_app(app: Flask, open_socket: socket.socket, stop: threading.Event, say: Say = print) -> None:
    """Serve an app on a bound socket until `stop` is set."""
    shared: Web = app.extensions[EXTENSION]
    settings = shared.settings
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # the app's own queue counts waiting requests
    proxy: dict[str, Any] = {}
    if settings.proxy is not None:
        headers = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
        proxy = {"trusted_proxy": settings.proxy, "trusted_proxy_count": 1, "trusted_proxy_headers": headers}
    running: set[int] = set()
    connections: dict[int, Any] = {}
    threads = settings.waiting + settings.batch + _OTHER_THREADS
    bounds = ConnectionBounds(most_connections(max(4 * settings.waiting + 200, 3 * threads)), settings.proxy)
    server = create_server(
        _counted(app, running),
        map=connections,
        sockets=[open_socket],
        threads=_HEALTH_THREADS,
        connection_limit=bounds.total + 100,  # not reached: where waitress counts, it stops accepting
        inbuf_overflow=_IN_MEMORY,
        outbuf_overflow=_IN_MEMORY,
        outbuf_high_watermark=sys.maxsize,  # no thread waits for a client that does not read
        channel_request_lookahead=1,  # keeps reading while a request is answered, to notice a client that disconnects
        max_request_body_size=_READ_ANYWAY * body_bytes(settings),
        ident="spantune",
        expose_tracebacks=False,
        asyncore_use_poll=True,
        asyncore_loop_timeout=0.25,
        **proxy,
    )
    server.channel_class = partial(BoundedChannel, bounds)
    server.task_dispatcher = RequestDispatcher(server.task_dispatcher, threads)
    threading.Thread(target=server.run, name="spantune-server", daemon=True).start()
    _announce(shared, open_socket, say)
    stop.wait()
    say("stopping: running requests are finished first")
    connections.pop(open_socket.fileno())  # accept no new connections, and keep those that are open
    open_socket.close()
    deadline = time.monotonic() + _TO_FINISH
    shared.answerer.close(_TO_FINISH)
    while time.monotonic() < deadline and (
        running or any(connection.writable() for connection in list(connections.values()))
    ):
        time.sleep(0.05)
    server.close()
    for connection in list(connections.values()):
        connection.close()


def _counted(app: Flask, running: set[int]) -> Any:
    """The WSGI application, with the requests that it is answering in `running`."""

    def answer(environ: dict[str, Any], start_response: Any) -> ClosingIterator:
        running.add(id(environ))
        try:
            return ClosingIterator(app(environ, start_response), lambda: running.discard(id(environ)))
        except BaseException:
            running.discard(id(environ))
            raise

    return answer


def _announce(shared: Web, open_socket: socket.socket, say: Say) -> None:
    port = open_socket.getsockname()[1]
    host = shared.settings.host.strip("[]")
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    count = len(shared.models)
    say(f"listening on {address} (Ctrl-C stops); loading {count} model{'s' * (count != 1)}")
    if shared.token is not None:
        known = "the one that was set" if shared.settings.token else shared.token  # a secret is not for logs
        say(f"token for uploads and corrections: {known} (enter it at {address}/sign-in)")

    def report() -> None:
        if shared.answerer.wait_until_loaded():
            say(f"ready: {', '.join(shared.names)}")
            for model, reason in shared.broken:
                say(f"broken: {model.name}: {reason}")
        elif shared.answerer.state == "failed":
            say(f"the models could not be loaded: {shared.answerer.failure}")

    threading.Thread(target=report, name="spantune-ready", daemon=True).start()


@contextmanager
def _on_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM, Ctrl-C and SIGHUP (unless it is ignored) set the event; a second one ends the process as usual."""

    def handle(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    numbers = [one for one in STOP_SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
