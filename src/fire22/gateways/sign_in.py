"""Who a request comes from: the one rule by which every transport reads a token, and trusts the session cookie.

A token that the client itself puts into a request (`Authorization`, or what a transport has for it) is proof by itself.
A cookie is not: the browser adds it to whatever any page asks for. So it counts only where the page that asks is the
server's own, which the browser says in `Origin`. It leaves that header away where its own rules keep other pages from
the answer, that is for a GET or HEAD of the same origin; so there, and only there, a request without one is believed.
Everything that changes something, and a WebSocket, which these rules do not cover, comes with an `Origin` or is refused
(OWASP, Cross-Site Request Forgery Prevention; RFC 6455 section 10.2).

A client certificate is shown by a browser to whatever any page asks for, too, and it is for machines: it counts only
where no browser asks, which each tells by `Origin` or `Sec-Fetch-Site`, and where nothing else says who it is.
"""

from collections.abc import Mapping, Set
from typing import Final

from fire22.core import codes
from fire22.core.errors import AuthError
from fire22.security.client_certificate import ClientCertificate
from fire22.security.sessions import SessionSecret

# Over plain HTTP it is set without a path, so that a browser keeps it to `/v1/` under whatever path a proxy serves the
# page. Over TLS no other page, and nobody on the way, can set a cookie of this prefix (RFC 6265bis).
SESSION_COOKIE: Final = "fire22_sign_in"
DEVICE_COOKIE: Final = "fire22_device"
HOST_PREFIX: Final = "__Host-"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


def token_of(
    headers: Mapping[str, str],
    *,
    safe: bool,
    secure: bool = False,
    offered: str | None = None,
    origins: Set[str] = frozenset(),
    certificate: ClientCertificate | None = None,
) -> str | None:
    """The token that a request brings, or None.

    Args:
        headers: of the request, by their names in lower case.
        safe: whether it is one of SAFE_METHODS and nothing more, whose answer a browser keeps from other pages.
        secure: whether it is known to have come over TLS: then a page that did not is another one.
        offered: a token that came in the transport's own way.
        origins: of other pages that may use the session cookie.
        certificate: that the client has shown.

    Raises:
        AuthError: `origin_forbidden`, the session cookie came from what is not the server's own page.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if offered is not None:
        return offered
    if SESSION_COOKIE in headers.get("cookie", "") and not is_own_page(
        headers, safe=safe, secure=secure, origins=origins
    ):
        raise AuthError(codes.ORIGIN_FORBIDDEN, "The session cookie works only from the server's own page.")
    cookie = cookie_of(headers, SESSION_COOKIE, secure=secure)
    if cookie is not None:
        return SessionSecret(cookie)
    return None if "origin" in headers or "sec-fetch-site" in headers else certificate


def is_own_page(
    headers: Mapping[str, str], *, safe: bool, secure: bool = False, origins: Set[str] = frozenset()
) -> bool:
    """Whether the page that asks was served by this very address or is listed.

    A request that is not known to have come over TLS may have done so up to a proxy: then either scheme is the own one.
    """
    origin = headers.get("origin")
    if origin is None:
        return safe
    scheme, _, host = origin.partition("://")
    return (host == headers.get("host") and (scheme == "https" or not secure)) or origin in origins


def is_secure(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that its page came over TLS, also where a proxy ends it."""
    return headers.get("origin", "").startswith("https://")


def cookie_of(headers: Mapping[str, str], name: str, *, secure: bool = False) -> str | None:
    """A cookie of a request, as it is set over TLS or else over plain HTTP.

    Args:
        secure: whether the request is known to have come over TLS.

    A page that came over TLS has no use for the second one: somebody on the way could have set it.
    """
    found: dict[str, str] = {}
    for part in headers.get("cookie", "").split(";"):
        each, _, value = part.strip().partition("=")
        found.setdefault(each, value)
    plain = None if secure or is_secure(headers) else found.get(name)
    return found.get(HOST_PREFIX + name, plain)
