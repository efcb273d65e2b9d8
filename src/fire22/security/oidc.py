"""Signing in with another provider: the authorization code flow with PKCE, and the provider's back-channel logout.

What belongs to one sign-in (`state`, `nonce`, the PKCE verifier) stays here, and is bound to the browser that began it
by a secret in a short-lived cookie; each is used once. OpenID Connect Core 1.0, RFC 7636, RFC 9207, RFC 9700; OpenID
Connect Back-Channel Logout 1.0.

Rows of the store: `oidc/jti/<SHA-256>`, empty: a logout token that was used, until it would be too old anyway.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fire22.core import codes
from fire22.core.address import is_id
from fire22.core.errors import AuthError, RequestError, SetupError
from fire22.core.role import Role
from fire22.core.scope import parse_scope
from fire22.observability.logging import get_logger
from fire22.security.people import Entered, People, Place
from fire22.security.principal import Principal
from fire22.security.provider import Metadata, OidcConfig, Provider
from fire22.security.sessions import Provided
from fire22.security.signature import NotSigned
from fire22.security.throttle import prefix_of
from fire22.store.base import ABSENT, Conflict, Put, Store

FLOW_S: Final = 600  # how long a person may take at the provider
FLOWS_MAX: Final = 10_000
FLOWS_ADDRESS_MAX: Final = 100  # of one network prefix
LEEWAY_S: Final = 60  # how far the provider's clock may be from this one
LOGOUT_S: Final = 600  # how old a logout token may be
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
JTI: Final = "oidc/jti/"

_Text = Annotated[str, Meta(max_length=1024)]
_Seconds = Annotated[float, Meta(ge=0, lt=253_402_300_800)]


class Begun(Struct, frozen=True):
    """A sign-in that has begun.

    Args:
        address: at the provider, where the browser goes now.
        secret: what the browser's cookie holds.
    """

    address: str
    secret: str

    def __repr__(self) -> str:
        return "Begun(***)"


class Callback(Struct, frozen=True):
    """What the provider has a browser bring back; empty is absent."""

    code: str = ""
    state: str = ""
    iss: str = ""
    error: str = ""

    def __repr__(self) -> str:
        return f"Callback(error={self.error!r})"


class _Flow(Struct, frozen=True):
    state: str
    nonce: str
    verifier: str
    former: str
    prefix: str
    ends_ms: int


class _IdToken(Struct, frozen=True):
    iss: str
    sub: Annotated[str, Meta(min_length=1, max_length=255)]
    aud: str | tuple[str, ...]
    exp: _Seconds
    iat: _Seconds
    nonce: str = ""
    azp: str = ""
    sid: _Text = ""


class _LogoutToken(Struct, frozen=True):
    iss: str
    aud: str | tuple[str, ...]
    iat: _Seconds
    jti: Annotated[str, Meta(min_length=1, max_length=1024)]
    events: dict[str, Raw]
    exp: _Seconds = 253_402_300_799
    sub: _Text = ""
    sid: _Text = ""
    nonce: Raw | UnsetType = UNSET


class Oidc:
    """People of one provider.

    Args:
        url: of this server as browsers see it, where the configuration does not say it.
        roles: every role by its name, as it is now.

    Raises:
        SetupError: `config_invalid`.
    """

    def __init__(
        self,
        config: OidcConfig,
        people: People,
        store: Store,
        *,
        url: str,
        roles: Callable[[], Mapping[str, Role]],
        now_ms: Callable[[], int],
    ) -> None:
        self.provider = Provider(config, now_ms=now_ms)
        self.url = (config.url or url).removesuffix("/")
        self._config = config
        self._people = people
        self._store = store
        self._roles = roles
        self._now_ms = now_ms
        self._flows: dict[str, _Flow] = {}  # by the digest of the cookie's secret, the oldest first
        self._logged_out: dict[tuple[str, str], int] = {}  # by (sid, sub), the sub only where there is no sid: when

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to."""
        return f"{self.url}/v1/oidc/callback"

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach this server over TLS."""
        return self.url.startswith("https:")

    def check(self) -> None:
        """Every group's role is one that people can have.

        Raises:
            SetupError: `config_invalid`.
        """
        for each in self._config.groups:
            if self._role(each.role) is None:
                raise SetupError(codes.CONFIG_INVALID, f"oidc.groups: there is no role {each.role} for people.")

    async def begin(self, place: Place, *, former: str = "") -> Begun:
        """Begin a sign-in.

        Args:
            former: the id of the browser's session, which ends when it has signed in.

        Raises:
            RequestError: `provider_unavailable`.
        """
        secret, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        verifier = secrets.token_urlsafe(48)
        address = await self.provider.start(redirect_uri=self.redirect_uri, state=state, nonce=nonce, verifier=verifier)
        now_ms = self._now_ms()
        self._make_room(prefix := prefix_of(place.address), now_ms)
        self._flows[_digest(secret)] = _Flow(state, nonce, verifier, former, prefix, now_ms + FLOW_S * 1000)
        return Begun(address, secret)

    async def finish(self, secret: str, callback: Callback, place: Place) -> Entered:
        """Sign in who comes back from the provider.

        Args:
            secret: what the browser's cookie holds; empty where it has none.

        Raises:
            AuthError: `code_invalid`, nothing that this browser has begun, or it is too late; `provider_refused`.
            RequestError: `provider_unavailable`.
        """
        began_ms = self._now_ms()
        flow = self._flows.pop(_digest(secret), None)
        if flow is None or flow.ends_ms <= began_ms or not _equal(flow.state, callback.state):
            raise AuthError(codes.CODE_INVALID, "This browser has not begun to sign in here, or it took too long.")
        self._check_issuer(callback, await self.provider.metadata())
        if callback.error or not callback.code:
            raise AuthError(codes.PROVIDER_REFUSED, f"{self.provider.name} has not signed you in.")
        answered = await self.provider.redeem(callback.code, flow.verifier, redirect_uri=self.redirect_uri)
        token, claims = await self._id_token(answered.id_token, flow.nonce)
        if self._config.groups_claim not in claims or self._config.user_claim not in claims:
            about = await self.provider.about(answered)
            if about and about.get("sub") != token.sub:
                raise self._refused("what the userinfo endpoint tells is of another user")
            claims = about | claims
        principal = self._principal(claims)
        provided = Provided(token.iss, token.sub, token.sid)
        entered = await self._people.enter_from(principal, provided, place)
        # A logout that came while this session was made did not find it.
        if (token.sid, "") in self._logged_out or self._logged_out.get(("", token.sub), -1) >= began_ms:
            await self._people.sessions.end(entered.principal.session)
            raise self._refused("the provider has signed the user out meanwhile")
        if flow.former:
            await self._people.sessions.end(flow.former)
        return entered

    async def log_out(self, text: str) -> list[Principal]:
        """End the sessions that a logout token names, at once on every connection; whose they were.

        Raises:
            RequestError: `logout_invalid`, `provider_unavailable`.
        """
        token = await self._logout_token(text)
        key = JTI + hashlib.sha256(token.jti.encode()).hexdigest()
        until_ms = int(token.iat * 1000) + (LOGOUT_S + 2 * LEEWAY_S) * 1000
        try:
            await self._store.write(Put(key, b"", until_ms, expected=ABSENT))
        except Conflict:
            raise RequestError(codes.LOGOUT_INVALID, "The logout token was used before.") from None
        now_ms = self._now_ms()
        too_old_ms = now_ms - LOGOUT_S * 1000
        self._logged_out = {each: at_ms for each, at_ms in self._logged_out.items() if at_ms > too_old_ms}
        self._logged_out[token.sid, "" if token.sid else token.sub] = now_ms
        return await self._people.end_from(Provided(token.iss, token.sub, token.sid))

    def _check_issuer(self, callback: Callback, metadata: Metadata) -> None:
        """The answer is of the provider that was asked (RFC 9207).

        Raises:
            AuthError: `provider_refused`.
        """
        if callback.iss != metadata.issuer and (
            callback.iss or metadata.authorization_response_iss_parameter_supported
        ):
            raise self._refused("the answer is of another issuer")

    async def _id_token(self, text: str, nonce: str) -> tuple[_IdToken, dict[str, object]]:
        """OpenID Connect Core 1.0, section 3.1.3.7.

        Raises:
            AuthError: `provider_refused`.
            RequestError: `provider_unavailable`.
        """
        try:
            payload, header = await self.provider.read(text)
            token = msgspec.json.decode(payload, type=_IdToken)
            claims = msgspec.json.decode(payload, type=dict[str, object])
        except (NotSigned, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._refused(f"the ID token is not good: {error}") from None
        now_s = self._now_ms() / 1000
        audience = _audience(token.aud)
        if header.typ.lower() not in ("", "jwt"):
            raise self._refused("the token is for something else")
        if token.iss != self._config.issuer:
            raise self._refused("the ID token is of another issuer")
        if self._config.client_id not in audience or token.azp not in ("", self._config.client_id):
            raise self._refused("the ID token is for another client")
        if len(audience) > 1 and not token.azp:
            raise self._refused("the ID token is for several clients and does not say which one asked")
        if token.exp + LEEWAY_S <= now_s or token.iat > now_s + LEEWAY_S:
            raise self._refused("the ID token is not of now")
        if not _equal(token.nonce, nonce):
            raise self._refused("the ID token is of another sign-in")
        return token, claims

    async def _logout_token(self, text: str) -> _LogoutToken:
        """OpenID Connect Back-Channel Logout 1.0, section 2.6.

        Raises:
            RequestError: `logout_invalid`, `provider_unavailable`.
        """
        problem = ""
        try:
            payload, header = await self.provider.read(text)
            token = msgspec.json.decode(payload, type=_LogoutToken)
        except (NotSigned, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(codes.LOGOUT_INVALID, f"The logout token is not good: {error}.") from None
        now_s = self._now_ms() / 1000
        if header.typ.lower() not in ("", "jwt", "logout+jwt"):
            problem = "it is for something else"
        elif token.iss != self._config.issuer:
            problem = "it is of another issuer"
        elif self._config.client_id not in _audience(token.aud):
            problem = "it is for another client"
        elif not now_s - LOGOUT_S - LEEWAY_S < token.iat <= now_s + LEEWAY_S or token.exp + LEEWAY_S <= now_s:
            problem = "it is not of now"
        elif bytes(token.events.get(LOGOUT_EVENT, Raw()))[:1] != b"{":
            problem = "it tells of no logout"
        elif token.nonce is not UNSET:
            problem = "it has a nonce, as ID tokens do"
        elif not token.sub and not token.sid:
            problem = "it names neither a user nor a session"
        if problem:
            raise RequestError(codes.LOGOUT_INVALID, f"The logout token is not good: {problem}.")
        return token

    def _principal(self, claims: Mapping[str, object]) -> Principal:
        """Who somebody of the provider is here.

        Raises:
            AuthError: `provider_refused`.
        """
        name = claims.get(self._config.user_claim)
        if not isinstance(name, str) or not is_id(name):
            raise self._refused(f"there is no usable name of the user in the claim {self._config.user_claim}")
        found = claims.get(self._config.groups_claim, [])
        groups = {found} if isinstance(found, str) else set(map(str, found)) if isinstance(found, list) else set()
        for each in self._config.groups:
            if each.group in groups:
                role = self._role(each.role)
                if role is None:
                    raise self._refused(f"there is no role {each.role} for people")
                return Principal(name, each.role, parse_scope(each.scope), 0, kind=role.kind)
        raise self._refused("the user is in no group that has a role here")

    def _role(self, name: str) -> Role | None:
        role = self._roles().get(name)
        return role if role is not None and role.kind != "machine" else None

    def _refused(self, why: str) -> AuthError:
        get_logger().info("sign-in by the provider refused", reason=why)
        return AuthError(codes.PROVIDER_REFUSED, f"You cannot sign in with {self.provider.name}: {why}.")

    def _make_room(self, prefix: str, now_ms: int) -> None:
        """Forget what has ended, and the oldest where there are too many, first those of the same network."""
        self._flows = {key: flow for key, flow in self._flows.items() if flow.ends_ms > now_ms}
        own = [key for key, flow in self._flows.items() if flow.prefix == prefix]
        if len(own) >= FLOWS_ADDRESS_MAX:
            del self._flows[own[0]]
        elif len(self._flows) >= FLOWS_MAX:
            del self._flows[next(iter(self._flows))]


def provided(
    config: OidcConfig,
    people: People,
    store: Store,
    *,
    url: str,
    roles: Callable[[], Mapping[str, Role]],
    now_ms: Callable[[], int],
) -> Oidc | None:
    """Signing in with the provider that is configured, if one is.

    Raises:
        SetupError: `config_invalid`.
    """
    return Oidc(config, people, store, url=url, roles=roles, now_ms=now_ms) if config.issuer else None


def _audience(aud: str | tuple[str, ...]) -> tuple[str, ...]:
    return (aud,) if isinstance(aud, str) else aud


def _equal(text: str, other: str) -> bool:
    return hmac.compare_digest(text.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
