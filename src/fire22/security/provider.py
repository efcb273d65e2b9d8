"""An OpenID provider: its settings, what it says of itself, its keys, and what it is asked.

Everything about it follows from its `issuer` by discovery (OpenID Connect Discovery 1.0), which is asked again after
`FRESH_S`. The addresses that it names are as protected as its own: those of an `https` issuer are `https`.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError, SetupError
from fire22.core.scope import parse_scope
from fire22.observability.logging import get_logger
from fire22.security.fetching import FETCH_S, FetchFailed, fetch, tls
from fire22.security.jwks import SOURCE, Jwks
from fire22.security.keys import Key
from fire22.security.ring import ring_of
from fire22.security.signature import Header, NoKey, read

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

VARIABLE: Final = "FIRE22_OIDC_SECRET"
FRESH_S: Final = 300.0  # for how long what the provider says of itself, and its keys, are not asked again
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class GroupConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What a group of the provider may see and do here.

    Args:
        group: its name, as the provider tells it.
        role: that its users have.
        scope: their part of the tree; `/` is the whole book.
    """

    group: Annotated[str, Meta(min_length=1, max_length=256)]
    role: Annotated[str, Meta(min_length=1, max_length=64)]
    scope: str


class OidcConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Signing in with another provider, by OpenID Connect.

    Args:
        issuer: the provider's address, from which all else is discovered; empty is none.
        name: of the provider, as the button to sign in says it; empty is its host.
        client_id: by which the provider knows this server.
        client_secret_file: holds the secret that this server shows to the provider; empty is none, for a public client.
            The variable FIRE22_OIDC_SECRET in the environment takes its place.
        url: of this server as browsers see it, with the path of a proxy if any; empty is where it listens. The provider
            sends people back to `<url>/v1/oidc/callback`.
        scopes: what is asked for about a user; `openid` is among them.
        user_claim: what names a user here. It must be one that users cannot change themselves at the provider.
        groups_claim: what lists a user's groups, in the ID token or else at the userinfo endpoint.
        groups: what each group may: `group`, `role`, `scope`. The first that a user is in counts; whoever is in none
            is refused.
    """

    issuer: str = ""
    name: Annotated[str, Meta(max_length=64)] = ""
    client_id: str = ""
    client_secret_file: str = ""
    url: str = ""
    scopes: tuple[str, ...] = ("openid", "profile")
    user_claim: str = "sub"
    groups_claim: str = "groups"
    groups: tuple[GroupConfig, ...] = ()


class Metadata(Struct, frozen=True):
    """What a provider says of itself; see OpenID Connect Discovery 1.0, section 3, and RFC 9207."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Answered(Struct, frozen=True):
    """What the provider has answered for a code. Neither may reach a log."""

    id_token: str
    access_token: str

    def __repr__(self) -> str:
        return "Answered(***)"


class Provider:
    """One provider.

    Raises:
        SetupError: `config_invalid`.
    """

    def __init__(self, config: OidcConfig, *, now_ms: Callable[[], int]) -> None:
        _check(config)
        self.config = config
        self.name = config.name or urlsplit(config.issuer).netloc
        self._secret = _secret(config)
        self._now_ms = now_ms
        self._logger = get_logger()
        self._metadata: Metadata | None = None
        self._asked_s = -FRESH_S
        self._asking: asyncio.Task[Metadata] | None = None
        self._jwks: Jwks | None = None
        self._keys_s = -FRESH_S
        self._ring = ring_of(secrets.token_bytes(32))

    async def metadata(self) -> Metadata:
        """What it says of itself; whoever asks while it is being asked shares the answer.

        Raises:
            RequestError: `provider_unavailable`.
        """
        now_s = asyncio.get_running_loop().time()
        if self._metadata is not None and now_s - self._asked_s < FRESH_S:
            return self._metadata
        if self._asking is None:
            self._asking = asyncio.create_task(self._discover())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    async def start(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """The address at the provider where a browser signs in.

        Raises:
            RequestError: `provider_unavailable`.
        """
        metadata = await self.metadata()
        async with self._client(metadata, redirect_uri) as client:
            address: str = client.create_authorization_url(
                metadata.authorization_endpoint, state=state, nonce=nonce, code_verifier=verifier
            )[0]
            return address

    async def redeem(self, code: str, verifier: str, *, redirect_uri: str) -> Answered:
        """Exchange a code for tokens.

        Raises:
            AuthError: `code_invalid`, the provider does not take the code (any more).
            RequestError: `provider_unavailable`.
        """
        from authlib.integrations.base_client import OAuthError

        metadata = await self.metadata()
        try:
            async with asyncio.timeout(FETCH_S), self._client(metadata, redirect_uri) as client:
                found = await client.fetch_token(
                    metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
                )
                return msgspec.convert(dict(found), Answered)
        except OAuthError as error:
            if error.error == "invalid_grant":
                raise AuthError(
                    codes.CODE_INVALID, "The sign-in has expired or was used before; begin again."
                ) from None
            raise self._unavailable("it refuses this server", error.error) from None
        except Exception as error:  # whatever a stranger's answer does to a library
            raise self._unavailable("the code cannot be exchanged", type(error).__name__) from None

    async def about(self, answered: Answered) -> dict[str, object]:
        """What the userinfo endpoint tells of who has signed in; nothing where there is none.

        Raises:
            RequestError: `provider_unavailable`.
        """
        metadata = await self.metadata()
        if not metadata.userinfo_endpoint or not answered.access_token:
            return {}
        try:
            return await fetch(metadata.userinfo_endpoint, bearer=answered.access_token)
        except FetchFailed as error:
            raise self._unavailable("the userinfo endpoint does not answer", str(error)) from None

    async def read(self, token: str) -> tuple[bytes, Header]:
        """The payload and header of a token that one of the provider's keys has signed.

        Raises:
            NotSigned: none has.
            RequestError: `provider_unavailable`.
        """
        jwks = await self._load_keys(await self.metadata())
        try:
            payload, header, _ = read(token, self._find)
        except NoKey:
            await jwks.ask()
            payload, header, _ = read(token, self._find)
        return payload, header

    def _find(self, algorithm: str, kid: str) -> Sequence[Key]:
        return [key for key in self._ring.find(algorithm, kid) if key.source == SOURCE]

    async def _load_keys(self, metadata: Metadata) -> Jwks:
        """The keys, not older than `FRESH_S` where the provider can be reached.

        Raises:
            RequestError: `provider_unavailable`, and no key was ever got.
        """
        jwks, now_s = self._jwks, asyncio.get_running_loop().time()
        if jwks is None or jwks.url != metadata.jwks_uri:
            jwks = Jwks(self._ring, metadata.jwks_uri, refresh_s=FRESH_S, stale_s=FRESH_S, now_ms=self._now_ms)
            self._keys_s = -FRESH_S
        if now_s - self._keys_s >= FRESH_S and await jwks.fetch():
            self._jwks, self._keys_s = jwks, now_s
        if self._jwks is None:
            raise self._unavailable("its keys cannot be fetched", metadata.jwks_uri)
        return self._jwks

    async def _discover(self) -> Metadata:
        url = self.config.issuer.removesuffix("/") + "/.well-known/openid-configuration"
        try:
            metadata = msgspec.convert(await fetch(url), Metadata)
        except FetchFailed as error:
            raise self._unavailable("discovery failed", str(error)) from None
        except msgspec.ValidationError as error:
            raise self._unavailable("what it says of itself is not as it must be", str(error)) from None
        if metadata.issuer != self.config.issuer:
            raise self._unavailable("it says to be another issuer", metadata.issuer)
        for address in (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.jwks_uri,
            metadata.userinfo_endpoint or self.config.issuer,
        ):
            if not _is_safe(address) or (self.config.issuer.startswith("https:") and not address.startswith("https:")):
                raise self._unavailable("an address that it names is not protected", address)
        self._metadata, self._asked_s = metadata, asyncio.get_running_loop().time()
        return metadata

    def _asked(self, task: "asyncio.Task[Metadata]") -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # whoever has asked is told; if nobody waits any more it is no failure of the server

    def _client(self, metadata: Metadata, redirect_uri: str) -> "AsyncOAuth2Client":
        # Imported by a server with a provider alone: it takes a quarter of a second.
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        supported = metadata.token_endpoint_auth_methods_supported
        basic = "client_secret_basic" in supported or "client_secret_post" not in supported
        method = ("client_secret_basic" if basic else "client_secret_post") if self._secret else "none"
        return AsyncOAuth2Client(
            self.config.client_id,
            self._secret or None,
            token_endpoint_auth_method=method,
            scope=" ".join(self.config.scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=FETCH_S,
            verify=tls(),
        )

    def _unavailable(self, what: str, detail: str) -> RequestError:
        self._logger.warning("provider unavailable", issuer=self.config.issuer, what=what, detail=detail[:200])
        message = (
            f"{self.name} does not answer as it must, so nobody can sign in with it now; the server's log says why."
        )
        return RequestError(codes.PROVIDER_UNAVAILABLE, message, retry_after_s=FETCH_S)


def _secret(config: OidcConfig) -> str:
    given = os.environ.get(VARIABLE, "")
    if given or not config.client_secret_file:
        return given.strip()
    try:
        found = Path(config.client_secret_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"oidc.client_secret_file cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}."
        raise SetupError(codes.CONFIG_INVALID, message) from None
    if not found:
        raise SetupError(codes.CONFIG_INVALID, "oidc.client_secret_file is empty.")
    return found


def _check(config: OidcConfig) -> None:
    problem = ""
    if not _is_safe(config.issuer):
        problem = "oidc.issuer begins with https://, or with http:// where the provider is on this machine."
    elif not config.client_id:
        problem = "oidc.issuer needs oidc.client_id."
    elif "openid" not in config.scopes:
        problem = "oidc.scopes must have openid."
    elif not config.groups:
        problem = "oidc.issuer needs oidc.groups: without a group that has a role nobody could sign in."
    elif config.url and not _is_safe(config.url):
        problem = "oidc.url begins with https://, or with http:// where browsers are on this machine."
    if problem:
        raise SetupError(codes.CONFIG_INVALID, problem)
    for each in config.groups:
        try:
            parse_scope(each.scope)
        except RequestError as error:
            raise SetupError(codes.CONFIG_INVALID, f"oidc.groups: {error.message}") from None


def _is_safe(address: str) -> bool:
    """Whether nobody on the way can read or change what goes to an address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )
