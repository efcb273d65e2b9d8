"""What it costs to find out who asks, and that they still may: a token's check, and the check before each command."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from bench.report import Report, Row, alternate
from fire22.security.keys import from_jwk
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.ring import ring_of
from fire22.security.signature import encode
from fire22.security.tokens import Tokens
from fire22.store.base import Store

NOW_MS: Final = 1_767_225_600_000
OWN: Final = b"k" * 32
CLAIMS: Final = {"sub": "u1", "role": "agent", "scope": "/M1", "exp": NOW_MS // 1000 + 600, "iat": NOW_MS // 1000}


class Kind(msgspec.Struct, frozen=True):
    """Tokens of one algorithm.

    Args:
        alg: what they say.
        key: signs them, and is the peer's for checking.
        kid: by which we know it; empty is our own key.
    """

    alg: str
    key: Any
    kid: str


def kinds() -> list[Kind]:
    """One of each."""
    return [
        Kind("HS256", OctKey.import_key(OWN), ""),
        Kind("RS256", RSAKey.generate_key(2048), "rsa"),
        Kind("ES256", ECKey.generate_key("P-256"), "ec"),
        Kind("Ed25519", OKPKey.generate_key("Ed25519"), "ed"),
    ]


def measure(*, quick: bool) -> Report:
    """Each algorithm against the library's own decoding; a token seen before; and rights that may have been revoked."""
    count, rounds = (300, 1) if quick else (2_000, 5)
    rows: list[Row] = []
    for kind in kinds():
        made = [_token(kind, number) for number in range(count)]
        ours, again, peer = alternate(
            rounds,
            partial(_first, made, kind),
            partial(_again, made, kind),
            partial(_peer, made, kind),
        )
        name = "joserfc, jwt.decode"
        rows.append(Row(f"µs for a token by {kind.alg}, seen first", ours, "less", None, peer, name))
        rows.append(Row(f"µs for a token by {kind.alg}, seen before", again, "less", None, peer, name))
    checked, unchecked = alternate(rounds, lambda: _rights(count * 50), lambda: _empty(count * 50))
    row = Row(
        "µs before each command: key and revocation", checked, "less", None, unchecked, "a call that does nothing"
    )
    return Report((*rows, row), (f"{count:,} tokens of different users; 1,000 revoked users, sessions and tokens.",))


def _token(kind: Kind, number: int) -> str:
    header = {"alg": kind.alg, "typ": "JWT"} | ({"kid": kind.kid} if kind.kid else {})
    signed = f"{encode(msgspec.json.encode(header))}.{encode(msgspec.json.encode(CLAIMS | {'sub': f'u{number}'}))}"
    return f"{signed}.{encode(JWSRegistry.algorithms[kind.alg].sign(signed.encode(), kind.key))}"


def _tokens(kind: Kind) -> Tokens:
    ring = ring_of(OWN)
    if kind.kid:
        ring.replace("folder", [from_jwk(kind.key.as_dict(private=False) | {"kid": kind.kid})], NOW_MS)
    return Tokens(ring)


def _each(count: int, act: Callable[[], None]) -> float:
    began = time.process_time()
    act()
    return (time.process_time() - began) / count * 1e6


def _first(made: list[str], kind: Kind) -> float:
    tokens = _tokens(kind)
    return _each(len(made), lambda: _verify(tokens, made))


def _again(made: list[str], kind: Kind) -> float:
    tokens = _tokens(kind)
    _verify(tokens, made)
    return _each(len(made), lambda: _verify(tokens, made))


def _verify(tokens: Tokens, made: list[str]) -> None:
    for token in made:
        tokens.verify(token, now_ms=NOW_MS)


def _peer(made: list[str], kind: Kind) -> float:
    registry = jwt.JWTClaimsRegistry(now=NOW_MS // 1000, sub={"essential": True}, exp={"essential": True})

    def decode() -> None:
        for token in made:
            registry.validate(jwt.decode(token, kind.key, algorithms=[kind.alg]).claims)

    return _each(len(made), decode)


def _rights(count: int) -> float:
    tokens = Tokens(OWN)
    store: Store = None  # type: ignore[assignment]  # nothing is written
    revocation = Revocation(store, now_ms=lambda: NOW_MS)
    for number in range(1_000):
        revocation._users[f"agent:gone{number}"] = NOW_MS
        revocation._tokens[f"t{number}"] = revocation._sessions[f"s{number}"] = 0
    key = tokens.ring.own.print
    principal = Principal("u1", "agent", "/M1", NOW_MS, kind="agent", jti="j", issued_ms=NOW_MS, key=key)

    def check() -> None:
        for _ in range(count):
            revocation.check(principal)
            tokens.check_key(principal)

    return _each(count, check)


def _empty(count: int) -> float:
    def nothing() -> None:
        pass

    def call() -> None:
        for _ in range(count):
            nothing()

    return _each(count, call)
