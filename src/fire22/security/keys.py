"""Keys that signatures are checked with: read from JWK (RFC 7517) or PEM, and refused where one is weak or ambiguous.

A key has exactly one algorithm, which it says itself or which follows from its kind: what a token's header claims only
has to be equal (RFC 8725 sections 3.1 and 3.2). A weak key is refused when it is read, however good its signatures:
HMAC below the length of its digest, RSA below 2,048 bits, with a small exponent or of the ROCA family (CVE-2017-15361),
a curve that is not the algorithm's.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

SECRET_BYTES_MIN: Final = 32
SET_KEYS_MAX: Final = 64
KID_MAX: Final = 256
_SALT: Final = secrets.token_bytes(32)

# Algorithm: the kind of key; the length of an HMAC key in bytes, or the curve.
_ALGORITHMS: Final[Mapping[str, tuple[str, int | str]]] = {
    "HS256": ("oct", 32),
    "HS384": ("oct", 48),
    "HS512": ("oct", 64),
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
# What a key is for that does not say it; Ed25519 is the newer name of the same (RFC 9864).
_USUAL: Final = {
    "oct": "HS256",
    "RSA": "RS256",
    "P-256": "ES256",
    "P-384": "ES384",
    "P-521": "ES512",
    "Ed25519": "EdDSA",
}
_SAME: Final = {"Ed25519": "EdDSA"}
_KINDS: Final[Mapping[str, Any]] = {"oct": OctKey, "RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_ROCA_PRIMES: Final = [each for each in range(3, 168) if all(each % below for below in range(2, each))]
_ROCA: Final = [(prime, frozenset(pow(65537, power, prime) for power in range(prime))) for prime in _ROCA_PRIMES]


class KeyRefused(Exception):
    """A key cannot be used; the text says why, and holds nothing of the key."""


class Key:
    """A key that checks signatures.

    Args:
        kid: by which a token names it; empty for one that tokens need not name.
        algorithm: the only one that it is used with.
        jose: the library's form of it.
        secret: of HMAC; else empty.
        source: where it is from, for rules that hold for its tokens.

    Attributes:
        print: tells it from other keys of this process, and says nothing about it.
    """

    __slots__ = ("_jose", "_model", "algorithm", "kid", "print", "secret", "source")

    def __init__(self, kid: str, algorithm: str, jose: Any, *, secret: bytes = b"", source: str = "") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.secret = secret
        self.source = source
        self._jose = jose
        self._model = JWSRegistry.algorithms[algorithm]
        public = secret or jose.as_bytes("PEM", private=False)
        self.print = hmac.digest(_SALT, f"{algorithm} {source} {kid} ".encode() + public, "sha256").hex()[:24]

    def __repr__(self) -> str:
        return f"Key({self.kid!r}, {self.algorithm}, {self.source!r})"

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether a signature is of these bytes, by this key."""
        try:
            return bool(self._model.verify(signed, signature, self._jose))
        except (ValueError, JoseError):  # not even of the right form
            return False


def canonical(algorithm: str) -> str:
    """The one name of an algorithm that has two."""
    return _SAME.get(algorithm, algorithm)


def from_secret(secret: bytes, *, kid: str = "", source: str = "") -> Key:
    """A key of HS256.

    Raises:
        KeyRefused: it is too short.
    """
    if len(secret) < SECRET_BYTES_MIN:
        raise KeyRefused(f"an HS256 key has at least {SECRET_BYTES_MIN} bytes")
    return Key(kid, "HS256", OctKey.import_key(secret), secret=secret, source=source)


def from_pem(pem: bytes, *, kid: str, source: str = "") -> Key:
    """A public key: RSA is for RS256, a curve for its ES algorithm, Ed25519 for EdDSA.

    Raises:
        KeyRefused: it is no public key, or a weak one.
    """
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused("it is no public key in PEM") from None
    if isinstance(public, RSAPublicKey):
        numbers = public.public_numbers()
        _check_rsa(numbers.n, numbers.e)
        kind = "RSA"
    elif isinstance(public, EllipticCurvePublicKey):
        kind = "EC"
    elif isinstance(public, Ed25519PublicKey):
        kind = "OKP"
    else:
        raise KeyRefused("keys of this kind are not used here")
    jwk = _KINDS[kind].import_key(public).as_dict(private=False)
    return from_jwk({**jwk, "kid": kid}, source=source)


def from_jwk(jwk: Mapping[str, object], *, source: str = "") -> Key:
    """A key for checking signatures.

    Raises:
        KeyRefused: it is not for that, or weak, or a private one.
    """
    kind, curve = jwk.get("kty"), jwk.get("crv")
    algorithm = jwk.get("alg", _USUAL.get(str(curve if kind in ("EC", "OKP") else kind)))
    kid = jwk.get("kid", "")
    if not isinstance(algorithm, str) or canonical(algorithm) not in _ALGORITHMS:
        raise KeyRefused("its algorithm is not used here")
    algorithm = canonical(algorithm)
    expected, detail = _ALGORITHMS[algorithm]
    if kind != expected:
        raise KeyRefused(f"it is no key of {algorithm}")
    if jwk.get("use", "sig") != "sig":
        raise KeyRefused("it is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeyRefused("it is not for checking signatures")
    if not isinstance(kid, str) or len(kid) > KID_MAX:
        raise KeyRefused(f"its kid is no text of at most {KID_MAX} characters")
    if kind != "oct" and "d" in jwk:
        raise KeyRefused("it is a private key; only the public one belongs here")
    try:  # before the library reads the key, which only warns of a weak one
        if isinstance(detail, int):
            if len(_bytes(jwk, "k")) < detail:
                raise KeyRefused(f"a key of {algorithm} has at least {detail} bytes")
        elif kind == "RSA":
            _check_rsa(int.from_bytes(_bytes(jwk, "n")), int.from_bytes(_bytes(jwk, "e")))
        jose = _KINDS[expected].import_key(dict(jwk))
    except (JoseError, ValueError, TypeError, KeyError):
        raise KeyRefused("it is malformed") from None
    if isinstance(detail, str) and detail and jose.curve_name != detail:
        raise KeyRefused(f"{algorithm} needs the curve {detail}")
    secret: bytes = jose.raw_value if kind == "oct" else b""
    return Key(kid, algorithm, jose, secret=secret, source=source)


def from_set(jwks: Mapping[str, object], *, source: str = "") -> tuple[list[Key], list[str]]:
    """The usable keys of a set, and why others are not; of a set that somebody has mixed up, none.

    Raises:
        KeyRefused: it is no set, has too many keys, two with one `kid`, or secrets beside public keys.
    """
    found = jwks.get("keys")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise KeyRefused("it is no set of keys")
    if len(found) > SET_KEYS_MAX:
        raise KeyRefused(f"it has more than {SET_KEYS_MAX} keys")
    kids = [each["kid"] for each in found if "kid" in each]
    if len({str(kid) for kid in kids}) < len(kids):
        raise KeyRefused("two of its keys have the same kid")
    if len({each.get("kty") == "oct" for each in found}) > 1:
        raise KeyRefused("it has secrets beside public keys")
    keys, refused = list[Key](), list[str]()
    for each in found:
        try:
            keys.append(from_jwk(each, source=source))
        except KeyRefused as error:
            refused.append(str(error))
    return keys, refused


def is_roca(modulus: int) -> bool:
    """Whether an RSA modulus is of the family whose private key can be computed (CVE-2017-15361)."""
    return all(modulus % prime in residues for prime, residues in _ROCA)


def _check_rsa(modulus: int, exponent: int) -> None:
    if modulus.bit_length() < 2048:
        raise KeyRefused("an RSA key has at least 2,048 bits")
    if exponent < 65537:
        raise KeyRefused("the exponent of an RSA key is at least 65,537")
    if is_roca(modulus):
        raise KeyRefused("it is an RSA key of the ROCA family")


def _bytes(jwk: Mapping[str, object], name: str) -> bytes:
    text = jwk[name]
    if not isinstance(text, str):
        raise TypeError(name)
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
