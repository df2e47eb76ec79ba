"""What keeps strangers out: headers, the Host check, the cross-origin check, and the token.

No page has inline scripts or styles, so the policy forbids them. Browsers state where a request comes from
(Sec-Fetch-Site, or Origin); changes requested by other sites are refused, so forms need no secret against them. On a
loopback address the Host header must name it: otherwise a foreign name that resolves to it would make another site's
page the same origin (DNS rebinding).
"""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, g, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue

from spantune.config import ServeConfig
from spantune.web.limits import LONGEST_LINK, client_of
from spantune.web.problem_details import Problem, too_many, wants_json
from spantune.web.question_index import NAMES
from spantune.web.state import web

View = TypeVar("View", bound=Callable[..., Any])

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_SAFE = ("GET", "HEAD", "OPTIONS")
_SESSION = "token"
_MARKING = ("study", "place", "key", "question", "context", "text", "start")
"""The fields of the page on which a correction is marked."""


def token_for(settings: ServeConfig) -> str | None:
    """The secret that this app asks for: the configured or a new one; None if only this machine reaches the app."""
    return settings.token or (None if settings.loopback else secrets.token_urlsafe(24))


def session_key(token: str | None) -> bytes:
    """The key that signs cookies; a restart with the same token keeps it."""
    return hmac.new(b"spantune web cookies", token.encode(), "sha256").digest() if token else secrets.token_bytes(32)


class Sessions(SecureCookieSessionInterface):
    """Cookies that are set over TLS are sent over TLS only."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def protect(app: Flask, settings: ServeConfig) -> None:
    """Check every request first, and put the headers on every response."""
    app.session_interface = Sessions()
    if settings.loopback or settings.names:
        own = ("localhost", "127.0.0.1", "::1", settings.host.strip("[]"), *settings.names)
        app.before_request(functools.partial(_check_host, frozenset(map(str.lower, own))))
    app.before_request(_check_origin)
    app.after_request(_with_headers)


def requires_token(view: View) -> View:
    """A view for those who know the token, if there is one: by `Authorization: Bearer TOKEN`, or signed in.

    Others are redirected to the page that asks for it; programs and forms get 401, with a link to that page.
    """

    @functools.wraps(view)
    def checked(*arguments: Any, **named: Any) -> Any:
        keep_secret()
        if knows_token():
            return view(*arguments, **named)
        if wants_json() or request.method not in _SAFE:
            raise Problem(
                401,
                "A token is needed",
                "Uploads and corrections need the token that was set or printed when the server started: send it as "
                "`Authorization: Bearer TOKEN`, or sign in at /sign-in.",
                headers={"WWW-Authenticate": 'Bearer realm="spantune"'},
                link=("Sign in", url_for("access.sign_in", next=_after_sign_in())),
            )
        return redirect(url_for("access.sign_in", next=request.full_path.rstrip("?")))

    return checked  # type: ignore[return-value]


def _after_sign_in() -> str:
    """Where the sender of a form goes after signing in: to mark the same text, if an address has room for it."""
    if request.blueprint != "correct":
        return request.path
    sent: dict[str, Any] = {
        name: list(filter(None, request.form.getlist(name)))
        for name in (*_MARKING, *NAMES)
        if any(request.form.getlist(name))
    }
    address = url_for("correct.mark", **sent)
    room = len(url_for("access.sign_in", next=address)) <= LONGEST_LINK
    return address if sent and room else url_for("correct.listed")


def keep_secret() -> None:
    """Keep browsers from storing the page that is being made, if there is a token."""
    g.secret = web().token is not None


def knows_token() -> bool:
    """Whether this request may do what needs the token."""
    token = web().token
    if token is None:
        return True
    kind, _, sent = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and _is_token(sent, token):
        return True
    kept = session.get(_SESSION)
    return isinstance(kept, str) and _same(kept, _digest(token))


def _is_token(sent: str, token: str) -> bool:
    """Whether it is the token; Problem 429 if the client guessed wrong too often, whatever it sends now."""
    guesses, client = web().guesses, client_of(request.remote_addr or "")
    if seconds := guesses.take(client):
        raise too_many(seconds, guesses.per_minute, "wrong tokens")
    right = _same(sent.strip(), token)
    if right:
        guesses.put_back(client)
    return right


def sign_in() -> ResponseReturnValue:
    """The page that asks for the token; the browser remembers a right one until it is closed."""
    wrong = request.method == "POST"
    if wrong:
        token = web().token
        if token is None or _is_token(request.form.get("token", ""), token):
            session[_SESSION] = _digest(token or "")
            return redirect(_own_page(request.form.get("next", "")))
    page = render_template("sign_in.html", wrong=wrong, next=request.values.get("next", ""))
    return Response(page, 401 if wrong else 200)


def _own_page(target: str) -> str:
    """A path of this app; the first page instead of anything else."""
    own = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if own else url_for("ask.page")


def _digest(token: str) -> str:
    return hmac.new(b"spantune web session", token.encode(), "sha256").hexdigest()


def _same(token: str, wanted: str) -> bool:
    return hmac.compare_digest(token.encode(), wanted.encode())


def _check_host(allowed: frozenset[str]) -> None:
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        name = ""
    if name not in allowed:
        raise Problem(
            421,
            "Not called by this name",
            "The server answers under its own address alone; `spantune serve --names NAME` adds another one.",
        )


def _check_origin() -> None:
    """Refuse what another site's page makes a browser send."""
    if request.method in _SAFE:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    elif origin is not None:
        foreign = origin.partition("://")[2].lower() != request.host.lower()
    else:
        foreign = False  # not a browser: it sends nobody's cookies
    if foreign:
        raise Problem(403, "From another site", "This request was sent by a page of another site.")


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    secret = g.get("secret", False) or request.endpoint == "access.sign_in"
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "no-cache"  # revalidated by its ETag, so that an update is seen
    elif response.mimetype == "text/html" and not secret:
        response.headers.setdefault("Cache-Control", "private, no-cache")  # kept for the Back button
    else:
        response.headers.setdefault("Cache-Control", "no-store")
    return response
