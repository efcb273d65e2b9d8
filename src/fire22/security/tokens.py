"""Tokens: HS256 JWTs that this server signs and checks, and the one-time codes that sign a browser in."""

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import jwt
import msgspec
from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.address import ID_PATTERN, is_id
from fire22.core.errors import AuthError, RequestError, SetupError
from fire22.core.role import Kind
from fire22.core.scope import parse_scope
from fire22.security.principal import Principal

KEY_BYTES_MIN: Final = 32
CODE_TTL_MS: Final = 15 * 60 * 1000
ALGORITHM: Final = "HS256"


class _Claims(Struct):
    sub: Annotated[str, Meta(min_length=1, max_length=200)]
    role: str
    scope: str
    exp: Annotated[int, Meta(lt=253_402_300_800)]  # the year 10000, which RFC 3339 cannot write
    topics: tuple[str, ...] | None = None
    client: Annotated[str, Meta(pattern=rf"\A{ID_PATTERN}\Z")] = ""
    may: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=64)] = ()
    nbf: Annotated[float, Meta(ge=0, lt=253_402_300_800)] = 0
    iat: Annotated[float, Meta(ge=0, lt=253_402_300_800)] = 0
    jti: Annotated[str, Meta(max_length=200)] = ""


_decode_claims: Final = msgspec.json.Decoder(_Claims).decode
_HEADER: Final = urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()


class Tokens:
    """Signs and checks tokens with one key.

    Args:
        key: at least 32 bytes; never logged.
        kind_of: what the users are that hold a role.
    """

    def __init__(self, key: bytes, kind_of: Callable[[str], Kind] = lambda _: "staff") -> None:
        if len(key) < KEY_BYTES_MIN:
            raise SetupError(codes.CONFIG_INVALID, f"A token key has at least {KEY_BYTES_MIN} bytes.")
        self._key = key
        self._kind_of = kind_of

    def sign(
        self,
        *,
        subject: str,
        role: str,
        scope: str,
        ttl_s: int,
        now_ms: int,
        client: str = "",
        may: tuple[str, ...] = (),
    ) -> str:
        """A token that ends `ttl_s` from now.

        Args:
            client: the device or installation that messages can be addressed to; empty is none.
            may: what is granted to this user beyond the role.

        Raises:
            RequestError: `scope_invalid`.
            SetupError: `config_invalid`, the client is not an id.
        """
        claims: dict[str, object] = {"sub": subject, "role": role, "scope": parse_scope(scope)}
        # To the millisecond, so that a revocation tells what was issued before it from what was issued after it.
        claims |= {"iat": now_ms / 1000, "exp": now_ms // 1000 + ttl_s}
        if client:
            claims["client"] = check_client(client)
        if may:
            claims["may"] = may
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def verify(self, token: str, *, now_ms: int) -> Principal:
        """Who a token says is asking.

        Raises:
            AuthError: `token_invalid` or `token_expired`.
        """
        try:
            claims = self._usual(token) or self._decode(token)
            if claims.nbf * 1000 > now_ms:
                raise ValueError("not yet valid")
            scope = parse_scope(claims.scope)
        except (jwt.PyJWTError, msgspec.DecodeError, ValueError, RecursionError, RequestError) as error:
            raise AuthError(
                codes.TOKEN_INVALID, "The token is not valid here; `fire22 token` prints one that is."
            ) from error
        if claims.exp * 1000 <= now_ms:
            raise AuthError(codes.TOKEN_EXPIRED, "The token has expired; get a new one.")
        return Principal(
            claims.sub,
            claims.role,
            scope,
            claims.exp * 1000,
            claims.topics,
            claims.client,
            claims.may,
            self._kind_of(claims.role),
            jti=claims.jti,
            issued_ms=round(claims.iat * 1000),
        )

    def _usual(self, token: str) -> _Claims | None:
        """The claims of a token with the header that we write, or None: then the library has the word.

        A crowd that comes back all at once is checked at a tenth of the cost. What is accepted here is what RFC 7515
        says of HS256, in its one canonical encoding.
        """
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if header != _HEADER or not token.isascii():
            return None
        expected = urlsafe_b64encode(hmac.digest(self._key, signed.encode(), "sha256")).rstrip(b"=")
        if not hmac.compare_digest(expected, signature.encode()):
            return None
        return _decode_claims(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    def _decode(self, token: str) -> _Claims:
        raw = jwt.decode(
            token,
            self._key,
            algorithms=[ALGORITHM],
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
        )
        return msgspec.convert(raw, _Claims)


def check_client(id: str) -> str:
    """Check a client's id and return it.

    Raises:
        SetupError: `config_invalid`.
    """
    if not is_id(id):
        raise SetupError(codes.CONFIG_INVALID, "A client's id has 1 to 200 characters and no blanks.")
    return id


def load_key(path: Path) -> bytes:
    """The key in a file; made on first use, readable by its owner alone.

    Raises:
        SetupError: `config_invalid`, when the file cannot be used.
    """
    try:
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(KEY_BYTES_MIN))
        return path.read_text().strip().encode()
    except OSError as error:
        raise SetupError(codes.CONFIG_INVALID, f"The token key {path} cannot be used: {error.strerror}.") from error
    except UnicodeDecodeError:
        message = f"The token key {path} must be text, such as `openssl rand -hex 32` prints."
        raise SetupError(codes.CONFIG_INVALID, message) from None


class SignInCodes:
    """One-time codes: each signs one browser in, once, within fifteen minutes. Only digests are kept."""

    def __init__(self, codes_max: int = 100) -> None:
        self._codes_max = codes_max
        self._open: dict[bytes, tuple[Principal, int]] = {}

    def issue(self, principal: Principal, *, now_ms: int) -> str:
        """A new code for a principal."""
        code = secrets.token_urlsafe(16)
        while len(self._open) >= self._codes_max:
            del self._open[next(iter(self._open))]
        self._open[_digest(code)] = (principal, now_ms + CODE_TTL_MS)
        return code

    def redeem(self, code: str, *, now_ms: int) -> Principal:
        """Use a code up.

        Raises:
            AuthError: `code_invalid`.
        """
        principal, ends_ms = self._open.pop(_digest(code), (None, 0))
        if principal is None or ends_ms <= now_ms:
            raise AuthError(
                codes.CODE_INVALID, "This sign-in link was used before or has expired; start the server again for one."
            )
        return principal


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
