"""Attacks by tokens: another algorithm, another name of a key, another time, another purpose (RFC 8725)."""

import hmac
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from fire22.core.errors import AuthError
from fire22.core.message import Json
from fire22.security.keys import from_jwk, from_pem, from_secret
from fire22.security.ring import KeyRing, ring_of
from fire22.security.signature import encode
from fire22.security.tokens import CACHED_MAX, Rules, Tokens

NOW_MS = 1_767_225_600_000
NOW_S = NOW_MS // 1000
OWN_SECRET = b"0123456789abcdef0123456789abcdef"
OTHER_SECRET = b"another key of thirty-two bytes!"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
CLAIMS: dict[str, Json] = {"sub": "u1", "role": "agent", "scope": "/M1", "exp": NOW_S + 60, "iat": NOW_S}
RULES = Rules(issuer="https://idp", audience="fire22", leeway_ms=5_000)
FROM_IDP: dict[str, Json] = CLAIMS | {"iss": "https://idp", "aud": "fire22"}


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed(claims: Json, key: Any, header: dict[str, Any]) -> str:
    """A token by the library, whatever it says."""
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(header, msgspec.json.encode(claims), key, registry=registry)


def rs256(claims: Json = FROM_IDP, **header: Any) -> str:
    return signed(claims, RSAKey.import_key(RSA), {"alg": "RS256", "kid": "idp", **header})


def hs256(secret: bytes, claims: Json = FROM_IDP, **header: Any) -> str:
    return signed(claims, OctKey.import_key(secret), {"alg": "HS256", **header})


def ring() -> KeyRing:
    """The server's own key, and one of each kind from others."""
    keys = ring_of(OWN_SECRET)
    others = [from_pem(public(RSA), kid="idp"), from_pem(public(EC), kid="curve"), from_pem(public(ED), kid="edwards")]
    keys.replace("folder", [*others, from_secret(OTHER_SECRET, kid="shared")], NOW_MS)
    return keys


def tokens(rules: Rules = RULES) -> Tokens:
    return Tokens(ring(), rules=rules)


def refusal(token: str, rules: Rules = RULES) -> str:
    with pytest.raises(AuthError) as caught:
        tokens(rules).verify(token, now_ms=NOW_MS)
    return caught.value.code.name


@pytest.mark.parametrize(
    ("alg", "kid", "key"),
    [
        ("RS256", "idp", RSAKey.import_key(RSA)),
        ("ES256", "curve", ECKey.import_key(EC)),
        ("Ed25519", "edwards", OKPKey.import_key(ED)),
        ("HS256", "shared", OctKey.import_key(OTHER_SECRET)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_algorithm(alg: str, kid: str, key: Any) -> None:
    """A token by each kind of key is let in, as the user that it names."""
    principal = tokens().verify(signed(FROM_IDP, key, {"alg": alg, "kid": kid}), now_ms=NOW_MS)
    assert (principal.subject, principal.role, principal.scope) == ("u1", "agent", "/M1")


def test_the_older_name_of_ed25519() -> None:
    """Issuers say `EdDSA` for what newer ones call `Ed25519`; both are the same algorithm."""
    body = f"{encode(msgspec.json.encode({'alg': 'EdDSA', 'kid': 'edwards'}))}.{encode(msgspec.json.encode(FROM_IDP))}"
    assert tokens().verify(f"{body}.{encode(ED.sign(body.encode()))}", now_ms=NOW_MS).subject == "u1"


# Algorithms.


@pytest.mark.parametrize("secret", [public(RSA), public(RSA).strip(), public(EC), public(ED)])
@pytest.mark.parametrize("kid", ["idp", "curve", "edwards", ""])
def test_a_public_key_is_no_secret(secret: bytes, kid: str) -> None:
    """HS256 with the text of a public key, which anybody knows, signs nothing (RFC 8725 section 2.1)."""
    header = {"alg": "HS256", "kid": kid} if kid else {"alg": "HS256"}
    body = f"{encode(msgspec.json.encode(header))}.{encode(msgspec.json.encode(FROM_IDP))}"
    token = f"{body}.{encode(hmac.digest(secret, body.encode(), 'sha256'))}"
    assert refusal(token) == "token_invalid"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", "HS256 "])
@pytest.mark.parametrize("kid", ["", "idp", "shared"])
def test_no_signature(alg: str, kid: str) -> None:
    """A token that says it needs no signature is not let in, whatever its spelling."""
    header = {"alg": alg, "kid": kid} if kid else {"alg": alg}
    body = f"{encode(msgspec.json.encode(header))}.{encode(msgspec.json.encode(FROM_IDP))}"
    for token in (f"{body}.", body, f"{body}.AA"):
        assert refusal(token) == "token_invalid"


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "PS384"])
def test_another_algorithm_of_the_same_key(alg: str) -> None:
    """A key that is for RS256 checks nothing else, though it could."""
    assert refusal(signed(FROM_IDP, RSAKey.import_key(RSA), {"alg": alg, "kid": "idp"})) == "token_invalid"


# Names of keys.


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "IDP",
        "idp ",
        "../idp",
        "idp.pem",
        "/etc/passwd",
        "../../../../dev/null",
        "' OR 1=1 --",
        "https://evil/keys",
        "idp\x00",
        "shared",
        "x" * 257,
        None,
        5,
        ["idp"],
        {"kid": "idp"},
    ],
    ids=repr,
)
def test_names_of_keys(kid: Json) -> None:
    """The name of a key is looked up exactly: it is no path, no address, no pattern, and no other key's."""
    header = {"alg": "RS256", "kid": kid} if kid != "" else {"alg": "RS256"}
    body = f"{encode(msgspec.json.encode(header))}.{encode(msgspec.json.encode(FROM_IDP))}"
    signature = RSA.sign(body.encode(), PKCS1v15(), hashes.SHA256())
    assert refusal(f"{body}.{encode(signature)}") == "token_invalid"


def test_a_key_of_others_is_not_the_servers_own() -> None:
    """Who has a named key cannot sign as the server itself, by leaving the name out."""
    assert refusal(hs256(OTHER_SECRET)) == "token_invalid"
    assert refusal(hs256(OTHER_SECRET, CLAIMS)) == "token_invalid"
    assert refusal(hs256(OWN_SECRET, kid="shared")) == "token_invalid"


# Keys and addresses in the token itself.


def test_a_key_in_the_token() -> None:
    """A token that brings its own key, or says where to fetch it, is checked with ours or not at all."""
    mine = RSAKey.generate_key(2048)
    for header in (
        {"jwk": mine.as_dict(private=False)},
        {"jwk": mine.as_dict(private=False), "kid": "idp"},
        {"jku": "https://evil/keys", "kid": "idp"},
        {"x5u": "https://evil/cert", "kid": "idp"},
        {"x5c": ["MIIB"], "kid": "idp"},
    ):
        assert refusal(signed(FROM_IDP, mine, {"alg": "RS256", **header})) == "token_invalid"
    assert tokens().verify(rs256(jku="https://evil/keys"), now_ms=NOW_MS).subject == "u1"


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": True}])
def test_extensions(header: dict[str, Any]) -> None:
    """A token with an extension that must be understood is refused: none is."""
    whole = {"alg": "HS256", "typ": "JWT", **header}
    body = f"{encode(msgspec.json.encode(whole))}.{encode(msgspec.json.encode(CLAIMS | {'aud': 'fire22'}))}"
    token = f"{body}.{encode(hmac.digest(OWN_SECRET, body.encode(), 'sha256'))}"
    assert refusal(token) == "token_invalid"


@pytest.mark.parametrize("typ", ["logout+jwt", "secevent+jwt", "dpop+jwt", "JWE", "x"])
def test_a_token_for_something_else(typ: str) -> None:
    """A good signature under another kind of token, such as a logout token of the same issuer, lets nobody in."""
    assert refusal(rs256(typ=typ)) == "token_invalid"


def test_types_of_access_tokens() -> None:
    """What issuers call an access token is one."""
    for typ in ("JWT", "jwt", "at+jwt", "application/at+jwt"):
        assert tokens().verify(rs256(typ=typ), now_ms=NOW_MS)


# Issuer, audience, times.


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil"},
        {"iss": ""},
        {"iss": ["https://idp"]},
        {"iss": "https://idp/"},
        {"aud": "other"},
        {"aud": []},
        {"aud": ["other", "fire22x"]},
        {"aud": ""},
        {"aud": {"fire22": 1}},
    ],
    ids=repr,
)
def test_issuer_and_audience(changes: dict[str, Json]) -> None:
    """A token that the issuer has made for another server, or another issuer for this one, is refused."""
    assert refusal(rs256(FROM_IDP | changes)) == "token_invalid"
    for name in ("iss", "aud"):
        assert refusal(rs256({key: value for key, value in FROM_IDP.items() if key != name})) == "token_invalid"
    assert tokens().verify(rs256(FROM_IDP | {"aud": ["other", "fire22"]}), now_ms=NOW_MS)


def test_the_servers_own_tokens() -> None:
    """The server's own tokens are for this audience, and need no issuer; they may not claim another one."""
    mine = tokens()
    token = mine.sign(subject="u1", role="agent", scope="/M1", ttl_s=60, now_ms=NOW_MS)
    assert mine.verify(token, now_ms=NOW_MS).subject == "u1"
    assert refusal(hs256(OWN_SECRET, FROM_IDP | {"iss": "https://evil"})) == "token_invalid"
    assert refusal(hs256(OWN_SECRET, CLAIMS)) == "token_invalid"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW_S - 4}, ""),
        ({"exp": NOW_S - 5}, "token_expired"),
        ({"exp": NOW_S - 4.5}, ""),
        ({"nbf": NOW_S + 5}, ""),
        ({"nbf": NOW_S + 5.5}, "token_invalid"),
        ({"iat": NOW_S + 65}, ""),
        ({"iat": NOW_S + 66}, "token_invalid"),
        ({"iat": 0}, ""),
        ({"exp": -1}, "token_invalid"),
        ({"exp": 1e300}, "token_invalid"),
        ({"nbf": -1}, "token_invalid"),
        ({"exp": True}, "token_invalid"),
    ],
    ids=repr,
)
def test_the_edges_of_time(claims: dict[str, Json], expected: str) -> None:
    """Each time has its leeway to the very second, and is a number of a time that there is."""
    token = rs256(FROM_IDP | claims)
    if expected:
        assert refusal(token) == expected
    else:
        assert tokens().verify(token, now_ms=NOW_MS)


def test_a_token_ends_also_where_it_is_remembered() -> None:
    """A token that was good a moment ago is checked for its time again, whatever is remembered of it."""
    mine = tokens()
    token = rs256()
    for _ in range(2):
        assert mine.verify(token, now_ms=NOW_MS + 64_999)
    with pytest.raises(AuthError, match="token_expired"):
        mine.verify(token, now_ms=NOW_MS + 65_000)


def test_what_is_remembered_is_bounded() -> None:
    """However many tokens come, no more are remembered than a limit, and no refused one."""
    mine = Tokens(OWN_SECRET)
    for number in range(CACHED_MAX + 10):
        mine.verify(mine.sign(subject=f"u{number}", role="a", scope="/", ttl_s=9, now_ms=NOW_MS), now_ms=NOW_MS)
    assert len(mine._cached) == CACHED_MAX
    for token in ("x", "a.b.c", mine.sign(subject="late", role="a", scope="/", ttl_s=-1, now_ms=NOW_MS)):
        with pytest.raises(AuthError):
            mine.verify(token, now_ms=NOW_MS)
    assert len(mine._cached) == CACHED_MAX


# Rotation.


@pytest.mark.parametrize("overlap_ms", [0, 1_000])
def test_rotation(overlap_ms: int) -> None:
    """A token of a key that was replaced is refused from then on, or after the overlap; one of the new key is good."""
    keys = ring_of(OWN_SECRET, overlap_ms=overlap_ms)
    mine = Tokens(keys)
    old = mine.sign(subject="u1", role="agent", scope="/M1", ttl_s=60, now_ms=NOW_MS)
    principal = mine.verify(old, now_ms=NOW_MS)
    mine.check_key(principal)
    keys.replace("own", [from_secret(b"n" * 32, source="own")], NOW_MS)
    new = mine.sign(subject="u1", role="agent", scope="/M1", ttl_s=60, now_ms=NOW_MS)
    assert mine.verify(new, now_ms=NOW_MS)
    if overlap_ms:
        assert mine.verify(old, now_ms=NOW_MS)
        keys.end_overlap(NOW_MS + overlap_ms)
    with pytest.raises(AuthError, match="token_invalid"):
        mine.verify(old, now_ms=NOW_MS)
    with pytest.raises(AuthError, match="token_revoked"):
        mine.check_key(principal)
    assert mine.verify(new, now_ms=NOW_MS)


def test_a_key_comes_back_as_another() -> None:
    """A key under the name of one that was removed does not revive its tokens."""
    keys = ring()
    mine = Tokens(keys, rules=RULES)
    token = rs256()
    principal = mine.verify(token, now_ms=NOW_MS)
    other = RSAKey.generate_key(2048, {"kid": "idp"})
    keys.replace("folder", [from_jwk(other.as_dict(private=False))], NOW_MS)
    with pytest.raises(AuthError, match="token_invalid"):
        mine.verify(token, now_ms=NOW_MS)
    with pytest.raises(AuthError, match="token_revoked"):
        mine.check_key(principal)


# What a refusal tells.


@pytest.mark.parametrize("make", [lambda: rs256(FROM_IDP | {"aud": "x"}), lambda: "a.b.c", lambda: rs256(typ="x")])
def test_a_refusal_tells_nothing(make: Callable[[], str]) -> None:
    """Whoever tries tokens learns the same from each: not which check it was, and nothing of a key or the token."""
    with pytest.raises(AuthError) as caught:
        tokens().verify(make(), now_ms=NOW_MS)
    assert caught.value.message == "The token is not valid here; `fire22 token` prints one that is."
