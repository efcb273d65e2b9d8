"""Where a request comes from, and whether it may come from there.

The address of a connection is that of its peer. Where that is a proxy that the operator trusts, it is what the proxy
says in the one header that the operator names. A proxy appends to one header and passes others on as the client wrote
them, so no other header is believed. A list of addresses is read from its end, up to the first one that is no trusted
proxy: what stands before it, the client may have invented (RFC 7239 section 8.1). A proxy that speaks the PROXY
protocol says it before the first request instead (arrivals.py); what it says stands for the peer.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import AuthError

Network = IPv4Network | IPv6Network

# Headers by which a proxy says that it passes on what another has asked.
FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_ORIGIN: Final = re.compile(r"https?://[^/\s@]+")
# `name=value`, or nothing, up to the next semicolon. Possessive, so that what does not match costs one pass.
_PAIR: Final = re.compile(
    r"""[ \t]*+(?:([\w!#$%&'*+.^`|~-]++)=("(?:[^"\\]|\\.)*+"|[^;,\s"]*+))?+[ \t]*+(?:;|\Z)""", re.ASCII
)
_THIS_MACHINE: Final = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d*)?", re.IGNORECASE)
_PORT: Final = re.compile(r"\[(.*)\](?::\w+)?|([\d.]+):\w+")

# What is read of a list of addresses, from its end. Anybody may write a long one, before any limit of rates counts.
HOPS_MAX: Final = 50
FORWARDED_CHARACTERS_MAX: Final = 2_000


class NetworkConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """From where the server may be used.

    Args:
        trusted_proxies: networks of the proxies that are believed about where a request comes from.
        forwarded_header: the one header in which they say so: `x-forwarded-for` (with `x-forwarded-proto`) or
            `forwarded` (RFC 7239).
        proxy_protocol: whether every connection from `trusted_proxies` begins with a PROXY header, version 1 or 2; one
            without is closed. From other addresses none is accepted.
        allow: networks from which the server may be used; empty is all.
        deny: networks from which it may not be used, even where `allow` has them.
        roles: for each role that is listed, the networks from which it may be used.
        operators: networks from which `/metrics` and `/readyz` are read without a token. This machine always may,
            except through a proxy, and only where the `Host` names it as `localhost`, `127.0.0.1` or `[::1]`.
        origins: of other pages that may use the session cookie and open WebSockets with it, such as
            `https://office.example.com`.
    """

    trusted_proxies: tuple[str, ...] = ()
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    proxy_protocol: bool = False
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    roles: dict[str, tuple[str, ...]] = {}
    operators: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError("proxy_protocol needs trusted_proxies")
        for networks in (self.trusted_proxies, self.allow, self.deny, self.operators, *self.roles.values()):
            for each in networks:
                ip_network(each)  # its ValueError names the text and what is wrong with it
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin such as https://office.example.com")


class Seen(Struct, frozen=True):
    """Where a request comes from.

    Args:
        address: of the client; empty where none is known.
        scheme: `http` or `https`, as a trusted proxy says; empty where none does.
        is_operator: whether `/metrics` and `/readyz` are read from there without a token.
    """

    address: str
    scheme: str
    is_operator: bool


class Networks:
    """The configured networks."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.origins = frozenset(config.origins)
        self._trusted = _parsed(config.trusted_proxies)
        self._allow = _parsed(config.allow)
        self._deny = _parsed(config.deny)
        self._operators = _parsed(config.operators)
        self._roles = {role: _parsed(networks) for role, networks in config.roles.items()}

    def is_trusted(self, address: str) -> bool:
        """Whether it is one of a trusted proxy."""
        return bool(self._trusted) and _within(address, self._trusted)

    def see(self, peer: str, headers: Mapping[str, str], *, proxied: bool = False) -> Seen:
        """Where a request comes from.

        Args:
            peer: the address of who has connected, or of whom a PROXY header has named.
            proxied: whether there was one.
            headers: by their names in lower case; repeated ones are joined by commas.
        """
        peer = _plain(peer)
        address, scheme = peer, ""
        if self.is_trusted(peer):
            address, scheme = self._forwarded(peer, headers)
        # A proxy on this machine makes everybody look local, so a request that was passed on is judged by the client's
        # address alone, and by nothing where a trusted proxy does not tell that.
        passed_on = any(name in headers for name in FORWARDING)
        is_told = not passed_on or (self.is_trusted(peer) and address != peer)
        # A page whose own name is made to lead to this machine (DNS rebinding) asks from here, under that name.
        is_here = _THIS_MACHINE.fullmatch(headers.get("host", "")) is not None
        is_local = not passed_on and not proxied and is_here and _is_loopback(address)
        return Seen(address, scheme, is_told and (is_local or _within(address, self._operators)))

    def refusal(self, address: str) -> AuthError | None:
        """Why nobody may use the server from an address; None where one may."""
        if _within(address, self._deny) or (self._allow and not _within(address, self._allow)):
            return AuthError(codes.ADDRESS_FORBIDDEN, "The server may not be used from this address.")
        return None

    def check_role(self, role: str, address: str) -> None:
        """A role may be used from this address.

        Raises:
            AuthError: `address_forbidden`.
        """
        networks = self._roles.get(role)
        if networks is not None and not _within(address, networks):
            raise AuthError(codes.ADDRESS_FORBIDDEN, f"The role {role} may not be used from this address.")

    def _forwarded(self, peer: str, headers: Mapping[str, str]) -> tuple[str, str]:
        """The client's address and scheme, as trusted proxies say."""
        if self.config.forwarded_header == "forwarded":
            hops = [_pairs(each) for each in _elements(headers.get("forwarded", ""))]
        else:
            scheme = headers.get("x-forwarded-proto", "").rpartition(",")[2]
            listed = headers.get("x-forwarded-for", "")
            last = listed.rsplit(",", HOPS_MAX)[-HOPS_MAX:] if listed else [""]
            hops = [{"for": each, "proto": scheme} for each in reversed(last)]
        address, scheme = peer, ""
        for hop in hops:
            proto = hop.get("proto", "").strip().lower()
            scheme = proto if proto in ("http", "https") else scheme
            found = _plain(hop.get("for", ""))
            if not found:  # `unknown`, hidden or damaged: nothing before it can be believed
                break
            address = found
            if not self.is_trusted(found):
                break
        return address, scheme


def _parsed(networks: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ip_network(each) for each in networks)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address lies in one of the networks; one that is not known lies in none."""
    found = _read(address) if networks else None
    return found is not None and any(found in each for each in networks)


def _is_loopback(address: str) -> bool:
    found = _read(address)
    return found is not None and found.is_loopback


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _plain(text: str) -> str:
    """An address without its port, as it is compared everywhere; empty where it is none."""
    text = text.strip()
    with_port = _PORT.fullmatch(text)
    found = _read((with_port[1] or with_port[2] or "") if with_port else text)
    return "" if found is None else str(found)


def _elements(header: str) -> list[str]:
    """The last elements of a `Forwarded` header, from its end.

    Quotes are paired from the end too: what the client wrote before, such as a quote that it left open, changes nothing
    in what a proxy has appended.
    """
    text = header[-FORWARDED_CHARACTERS_MAX:]
    found: list[str] = []
    end, is_quoted = len(text), False
    for at in range(len(text) - 1, -1, -1):
        if text[at] == '"':
            is_quoted = not is_quoted or _is_escaped(text, at)
        elif text[at] == "," and not is_quoted:
            found.append(text[at + 1 : end])
            end = at
            if len(found) == HOPS_MAX:
                return found
    if len(text) == len(header):  # otherwise the first one is a part of an element
        found.append(text[:end])
    return found


def _is_escaped(text: str, at: int) -> bool:
    """Whether an odd number of backslashes stands before a place."""
    first = at
    while first and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1


def _pairs(element: str) -> dict[str, str]:
    """What an element of `Forwarded` says, by names in lower case; nothing where it is malformed (RFC 7239)."""
    found: dict[str, str] = {}
    at = 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return {}
        at = pair.end()
        if pair[1] is None:
            continue
        name, value = pair[1].lower(), pair[2]
        if name in found:
            return {}
        found[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    return found
