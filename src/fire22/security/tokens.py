"""Tokens: JWTs that this server or an issuer that it trusts has signed; and the one-time codes that sign a browser in.

What a token says is believed after its signature has been checked with one of the keys of `ring.py`, and then held to
the rules of RFC 8725: the algorithm is the key's, the type that of an access token, issuer and audience as configured,
times within `leeway_s`.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.address import ID_PATTERN, is_id
from fire22.core.errors import AuthError, RequestError, SetupError
from fire22.core.role import Kind
from fire22.core.scope import parse_scope
from fire22.security.keys import Key
from fire22.security.principal import Principal
from fire22.security.ring import OWN, KeyRing, ring_of
from fire22.security.signature import NoKey, NotSigned, encode, read

CODE_TTL_MS: Final = 15 * 60 * 1000
CACHED_MAX: Final = 10_000
_AHEAD_MS: Final = 60_000  # a token from later than this would evade the next revocation
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})


class Rules(Struct, frozen=True):
    """What is asked of every token beside a good signature.

    Args:
        issuer: `iss` of tokens by keys that are not the server's own; empty asks for none.
        audience: of every token; the server's own are signed with it. Empty asks for none.
        leeway_ms: how far other clocks may be from this one.
    """

    issuer: str = ""
    audience: str = ""
    leeway_ms: int = 0


class Issuer(Protocol):
    """Has newer keys; see `Jwks`."""

    def may_ask(self) -> bool:
        """Whether it may be asked now because of a key that is not known."""

    async def ask(self) -> None:
        """Ask it; done when there is nothing more to wait for."""


class KeyUnknown(AuthError):
    """A token names a key that is not known yet; the issuer may be asked."""


_Seconds = Annotated[float, Meta(ge=0, lt=253_402_300_800)]  # up to the year 10000, which RFC 3339 cannot write


class _Claims(Struct):
    sub: Annotated[str, Meta(min_length=1, max_length=200)]
    role: str
    scope: str
    exp: _Seconds
    topics: tuple[str, ...] | None = None
    client: Annotated[str, Meta(pattern=rf"\A{ID_PATTERN}\Z")] = ""
    may: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=64)] = ()
    nbf: _Seconds = 0
    iat: _Seconds = 0
    jti: Annotated[str, Meta(max_length=200)] = ""
    iss: str = ""
    aud: str | tuple[str, ...] = ()


NO_RULES: Final = Rules()
_decode_claims: Final = msgspec.json.Decoder(_Claims).decode
_HEADER: Final = encode(b'{"alg":"HS256","typ":"JWT"}')


class Tokens:
    """Signs and checks tokens.

    Args:
        keys: what they are checked with; of bytes, the server's own is the only one.
        kind_of: what the users are that hold a role.
        rules: what is asked of every token.
        issuer: where newer keys may come from; None where they come by themselves.
    """

    def __init__(
        self,
        keys: KeyRing | bytes,
        kind_of: Callable[[str], Kind] = lambda _: "staff",
        *,
        rules: Rules = NO_RULES,
        issuer: Issuer | None = None,
    ) -> None:
        self.ring = keys if isinstance(keys, KeyRing) else ring_of(keys)
        self.issuer = issuer
        self._kind_of = kind_of
        self._rules = rules
        self._cached: dict[bytes, Principal] = {}
        self.ring.listen(self._cached.clear)

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
        jti: str = "",
    ) -> str:
        """A token that ends `ttl_s` from now.

        Args:
            client: the device or installation that messages can be addressed to; empty is none.
            may: what is granted to this user beyond the role.
            jti: the token's id, by which it can be revoked; empty is none.

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
        if jti:
            claims["jti"] = jti
        if self._rules.audience:
            claims["aud"] = self._rules.audience
        signed = f"{_HEADER}.{encode(msgspec.json.encode(claims))}"
        return f"{signed}.{_signature(self.ring.own, signed)}"

    def verify(self, token: str, *, now_ms: int) -> Principal:
        """Who a token says is asking.

        Raises:
            KeyUnknown: `token_invalid`, and the issuer may be asked for its key.
            AuthError: `token_invalid` or `token_expired`.
        """
        name = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        principal = self._cached.get(name)
        if principal is None:
            principal = self._check(token, now_ms)
            # What has not expired now may be asked again; only that is kept, for a crowd that comes back at once.
            if principal.expires_ms > now_ms:
                if len(self._cached) >= CACHED_MAX:
                    del self._cached[next(iter(self._cached))]
                self._cached[name] = principal
        if principal.expires_ms <= now_ms:
            raise AuthError(codes.TOKEN_EXPIRED, "The token has expired; get a new one.")
        return principal

    def check_key(self, principal: Principal) -> None:
        """Let pass who came by no key, or by one that is still good.

        Raises:
            AuthError: `token_revoked`.
        """
        if principal.key and not self.ring.has(principal.key):
            raise AuthError(codes.TOKEN_REVOKED, "The key of this token was replaced; get a new token.")

    def _check(self, token: str, now_ms: int) -> Principal:
        try:
            claims, key = self._usual(token) or self._decode(token)
            self._check_claims(claims, key, now_ms)
            scope = parse_scope(claims.scope)
        except NoKey as error:
            may_ask = self.issuer is not None and self.issuer.may_ask()
            raise (KeyUnknown if may_ask else AuthError)(codes.TOKEN_INVALID, _INVALID) from error
        except (NotSigned, msgspec.DecodeError, ValueError, RecursionError, RequestError) as error:
            raise AuthError(codes.TOKEN_INVALID, _INVALID) from error
        return Principal(
            claims.sub,
            claims.role,
            scope,
            int(claims.exp * 1000) + self._rules.leeway_ms,
            claims.topics,
            claims.client,
            claims.may,
            self._kind_of(claims.role),
            jti=claims.jti,
            issued_ms=round(claims.iat * 1000),
            key=key.print,
        )

    def _usual(self, token: str) -> tuple[_Claims, Key] | None:
        """The claims of a token with the header that we write, or None: then all of it is looked at.

        A crowd that comes back all at once is checked at a fifth of the cost. What is accepted here is what RFC 7515
        says of HS256, in its one canonical encoding.
        """
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if header != _HEADER or not token.isascii():
            return None
        for key in self.ring.secrets:
            if hmac.compare_digest(_signature(key, signed), signature):
                return _decode_claims(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))), key
        return None

    def _decode(self, token: str) -> tuple[_Claims, Key]:
        payload, header, key = read(token, self.ring.find)
        if header.typ.lower() not in _TYPES:
            raise ValueError("a token for something else")
        return _decode_claims(payload), key

    def _check_claims(self, claims: _Claims, key: Key, now_ms: int) -> None:
        """Times, issuer and audience.

        Raises:
            ValueError: one of them is not as it must be.
        """
        rules = self._rules
        if claims.nbf * 1000 > now_ms + rules.leeway_ms:
            raise ValueError("not yet valid")
        if claims.iat * 1000 > now_ms + rules.leeway_ms + _AHEAD_MS:
            raise ValueError("issued in the future")
        is_own = key.source == OWN and not claims.iss
        if rules.issuer and claims.iss != rules.issuer and not is_own:
            raise ValueError("of another issuer")
        audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        if rules.audience and rules.audience not in audience:
            raise ValueError("for another audience")


_INVALID: Final = "The token is not valid here; `fire22 token` prints one that is."


def _signature(key: Key, signed: str) -> str:
    return urlsafe_b64encode(hmac.digest(key.secret, signed.encode(), "sha256")).rstrip(b"=").decode()


def check_client(id: str) -> str:
    """Check a client's id and return it.

    Raises:
        SetupError: `config_invalid`.
    """
    if not is_id(id):
        raise SetupError(codes.CONFIG_INVALID, "A client's id has 1 to 200 characters and no blanks.")
    return id


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
