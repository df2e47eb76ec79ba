"""What keeps strangers out: headers, the Host check, the cross-origin check, and the token.

No page has a script or a style of its own, so that the policy allows none. A browser says where a request that
changes something comes from (Sec-Fetch-Site, or Origin); what comes from elsewhere is refused, so that no form needs
a secret of its own. On a loopback address the Host header must name it: otherwise a name that a stranger's DNS points
there would make his page the same origin (DNS rebinding).
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
from spantune.web.admission import charge
from spantune.web.limits import LONGEST_LINK
from spantune.web.problem_details import Problem, wants_json
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
"""What the page on which a correction is marked takes."""


def token_for(settings: ServeConfig) -> str | None:
    """The secret that this app asks for: the one given, else a new one; None where only this machine reaches it."""
    if settings.token:
        return settings.token
    return None if settings.loopback else secrets.token_urlsafe(24)


def session_key(token: str | None) -> bytes:
    """What cookies are signed with: the same after a restart with the same token."""
    return hmac.new(b"spantune web cookies", token.encode(), "sha256").digest() if token else secrets.token_bytes(32)


class Sessions(SecureCookieSessionInterface):
    """Cookies that a browser got with TLS are never sent without it."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def protect(app: Flask, settings: ServeConfig) -> None:
    """Check every request before anything else sees it, and put the headers on every response."""
    app.session_interface = Sessions()
    allowed = _hosts(settings)
    app.before_request(functools.partial(_check_host, allowed))
    app.before_request(_check_origin)
    app.after_request(_with_headers)


def requires_token(view: View) -> View:
    """A view for those alone who know the token: as `Authorization: Bearer TOKEN`, or signed in with the browser.

    Nobody is asked for one where only this machine reaches the app. Others are sent to the page that asks for it; a
    program gets 401, and so does a form, with a link to that page.
    """

    @functools.wraps(view)
    def checked(*given: Any, **named: Any) -> Any:
        keep_secret()
        if knows_token():
            return view(*given, **named)
        if wants_json() or request.method not in _SAFE:
            raise Problem(
                401,
                "A token is needed",
                "Uploads and corrections need the token that was set or printed when the server started: send it as "
                "`Authorization: Bearer TOKEN`, or sign in at /sign-in.",
                headers={"WWW-Authenticate": 'Bearer realm="spantune"'},
                link=("Sign in", url_for("access.sign_in", next=_way_on())),
            )
        return redirect(url_for("access.sign_in", next=request.full_path.rstrip("?")))

    return checked  # type: ignore[return-value]


def _way_on() -> str:
    """The page that takes up what a form asked for, once its sender has signed in: the text on which a correction was
    to be marked, as far as an address has room for it."""
    if request.blueprint != "correct":
        return request.path
    sent: dict[str, Any] = {
        name: some for name in (*_MARKING, *NAMES) if (some := [one for one in request.form.getlist(name) if one])
    }
    address = url_for("correct.mark", **sent) if sent else ""
    room = len(url_for("access.sign_in", next=address)) <= LONGEST_LINK
    return address if sent and room else url_for("correct.listed")


def keep_secret() -> None:
    """Where a token is needed at all, let no browser keep the page that is being made."""
    g.secret = web().token is not None


def knows_token() -> bool:
    """Whether this request may do what needs the token."""
    token = web().token
    if token is None:
        return True
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and _same(given.strip(), token):
        return True
    kept = session.get(_SESSION)
    return isinstance(kept, str) and _same(kept, _digest(token))


def sign_in() -> ResponseReturnValue:
    """The page that asks for the token; a right one is remembered by the browser until it is closed."""
    wrong = False
    if request.method == "POST":
        charge(1)  # nobody tries many
        token = web().token
        if token is None or _same(request.form.get("token", "").strip(), token):
            session[_SESSION] = _digest(token or "")
            return redirect(_own_page(request.form.get("next", "")))
        wrong = True
    page = render_template("sign_in.html", wrong=wrong, next=request.values.get("next", ""))
    return Response(page, 401 if wrong else 200)


def _own_page(target: str) -> str:
    """A path of this app; the first page instead of anything else."""
    own = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if own else url_for("ask.page")


def _digest(token: str) -> str:
    return hmac.new(b"spantune web session", token.encode(), "sha256").hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _hosts(settings: ServeConfig) -> frozenset[str] | None:
    """Names that a request may call this app by; None for any."""
    if not settings.loopback and not settings.names:
        return None
    own = settings.host.strip("[]").lower()
    return frozenset({"localhost", "127.0.0.1", "::1", own, *(one.lower() for one in settings.names)})


def _check_host(allowed: frozenset[str] | None) -> None:
    if allowed is None:
        return
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
        foreign = False  # no browser: nobody's cookies are sent along
    if foreign:
        raise Problem(403, "From another site", "This request was sent by a page of another site.")


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "no-cache"  # asked for again with its ETag, so that an update is seen
    else:
        response.headers.setdefault("Cache-Control", _kept(response))
    return response


def _kept(response: Response) -> str:
    """What a browser may keep: a page for its Back button, without which the answer to a form is lost there.

    Nothing is kept of what needs the token or asks for it, nor of what programs read.
    """
    secret = g.get("secret", False) or request.endpoint == "access.sign_in"
    return "private, no-cache" if response.mimetype == "text/html" and not secret else "no-store"
