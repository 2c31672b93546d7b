"""What every answer tells browsers, and what pages of other sites may not ask for.

Programs do not care. A browser carries an API key in a header that a page has to set by itself, never in a cookie, so
another site's page cannot borrow it; what stands here keeps even the attempt out, and every answer out of frames,
caches and guesses about its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

ALWAYS: Headers = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]
"""On every answer, whatever it is."""

UNLESS_SAID: Headers = [
    # an answer of the API is data: even opened as a page it loads, runs and sends nothing
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("Cache-Control", "no-store"),
]
"""Where the answer does not say something of its own, as a page does."""

_REFUSED = msgspec.json.encode(
    {
        "type": "urn:surefill:problem:cross-site-request",
        "title": "Cross site request",
        "status": 403,
        "detail": "A page of another site has sent this request.",
        "code": "CROSS_SITE_REQUEST",
        "suggestion": "Use the page that this address serves, or a program instead of a browser.",
        "errors": [],
        "request_id": None,
    }
)


class Application(Protocol):
    """A WSGI application."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any], /) -> Iterable[bytes]: ...


class BrowserRules:
    """Stands before everything: refuses other sites' requests, and adds the headers to every answer.

    `hsts_seconds` is how long browsers shall insist on TLS for this host; 0 says nothing, for where there is no TLS.
    """

    def __init__(self, inside: Application, *, hsts_seconds: int = 0) -> None:
        self._inside = inside
        self._always = list(ALWAYS)
        if hsts_seconds:
            self._always.append(("Strict-Transport-Security", f"max-age={hsts_seconds}"))

    def __call__(self, environ: Environ, start_response: Callable[..., Any], /) -> Iterable[bytes]:
        def start_with_headers(status: str, headers: Headers, *more: Any) -> Any:
            said = {name.lower() for name, _ in headers}
            for each in self._always:
                if each[0].lower() not in said:
                    headers.append(each)
            for each in UNLESS_SAID:
                if each[0].lower() not in said:
                    headers.append(each)
            return start_response(status, headers, *more)

        if is_cross_site(environ):
            start_with_headers(
                "403 Forbidden",
                [("Content-Type", "application/problem+json"), ("Content-Length", str(len(_REFUSED)))],
            )
            return [_REFUSED]
        return self._inside(environ, start_with_headers)


def is_cross_site(environ: Environ) -> bool:
    """Whether a browser says that a page of another site wants this.

    `Origin` is on every WebSocket handshake and on everything that is not a plain GET; its host has to be the one that
    was asked. The scheme is not compared: behind a proxy that ends TLS it differs. Without an Origin, `Sec-Fetch-Site`
    tells; following a link from elsewhere (a navigation with GET) is no request on a page's behalf.
    """
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None:
        return _host_of(origin) != str(environ.get("HTTP_HOST", "")).lower()
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site not in ("cross-site", "same-site"):
        return False
    return environ.get("HTTP_SEC_FETCH_MODE") != "navigate" or environ["REQUEST_METHOD"] not in ("GET", "HEAD")


def _host_of(origin: str) -> str | None:
    """Host and port of an Origin; None for `null` and for what is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None
