"""Signing in with another provider, against one that says whatever a test wants."""

import hmac
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from fire22.core.errors import Fire22Error, SetupError
from fire22.core.role import Role
from fire22.security import signature
from fire22.security.keys import Key, from_jwk
from fire22.security.oidc import FLOWS_ADDRESS_MAX, LOGOUT_EVENT, Begun, Callback, Oidc
from fire22.security.people import Place
from fire22.security.provider import VARIABLE, Answered, GroupConfig, Metadata, OidcConfig, Provider
from fire22.security.sessions import Provided
from fire22.security.signature import Header
from tests.support.memory_store import MemoryStore
from tests.support.people import people

NOW_MS = 1_767_225_600_000
NOW_S = NOW_MS // 1000
ISSUER = "https://idp.example"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"})
PUBLIC = from_jwk(KEY.as_dict(private=False))
HERE = Place("192.0.2.7", "a browser")
ROLES = {
    "risk": Role(topics=None),
    "agent": Role(topics=None, kind="agent"),
    "service": Role(topics=None, kind="machine"),
}


def config(**changed: object) -> OidcConfig:
    """What is configured, changed."""
    groups = (GroupConfig("agents", "agent", "/M1"), GroupConfig("traders", "risk", "/"))
    fields = {"issuer": ISSUER, "name": "Test", "client_id": "fire22", "url": "https://flows.example", "groups": groups}
    return msgspec.structs.replace(OidcConfig(), **(fields | changed))


class Fake(Provider):
    """Answers every code with one ID token, and the userinfo endpoint with one answer."""

    def __init__(self, config: OidcConfig) -> None:
        super().__init__(config, now_ms=lambda: NOW_MS)
        self.id_token = ""
        self.userinfo: dict[str, object] = {}

    async def metadata(self) -> Metadata:
        return Metadata(ISSUER, f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/keys")

    async def redeem(self, code: str, verifier: str, *, redirect_uri: str) -> Answered:
        return Answered(self.id_token, "access")

    async def about(self, answered: Answered) -> dict[str, object]:
        return self.userinfo

    async def read(self, token: str) -> tuple[bytes, Header]:
        def find(algorithm: str, kid: str) -> list[Key]:
            return [PUBLIC] if (algorithm, kid) == ("RS256", "one") else []

        payload, header, _ = signature.read(token, find)
        return payload, header


def made(**changed: object) -> tuple[Oidc, Fake]:
    """Signing in, with nobody signed in yet."""
    store = MemoryStore(lambda: NOW_MS)
    wanted = config(**changed)
    oidc = Oidc(wanted, people(lambda: NOW_MS, store), store, url="", roles=lambda: ROLES, now_ms=lambda: NOW_MS)
    oidc.provider = fake = Fake(wanted)
    return oidc, fake


def signed(claims: Mapping[str, object], key: RSAKey = KEY, **header: str) -> str:
    """A token."""
    protected = {"alg": "RS256", "kid": "one"} | header
    return jws.serialize_compact(protected, msgspec.json.encode(claims), key, algorithms=["RS256"])


def said(now: str, **changed: object) -> dict[str, object]:
    """What an ID token says, changed; None takes a claim away."""
    claims: dict[str, object] = {"iss": ISSUER, "sub": "ann", "aud": "fire22", "exp": NOW_S + 300, "iat": NOW_S}
    claims |= {"nonce": now, "sid": "s1", "groups": ["traders"]}
    return {name: value for name, value in (claims | changed).items() if value is not None}


async def begin(oidc: Oidc) -> tuple[Begun, str, str]:
    """A sign-in that has begun, with its state and nonce."""
    begun = await oidc.begin(HERE)
    asked = parse_qs(urlsplit(begun.address).query)
    assert asked["redirect_uri"] == ["https://flows.example/v1/oidc/callback"]
    assert (asked["code_challenge_method"], asked["response_type"]) == (["S256"], ["code"])
    return begun, asked["state"][0], asked["nonce"][0]


async def sign_in(oidc: Oidc, provider: Fake, make: Callable[[str], str]) -> tuple[str, str, str]:
    """Sign in with the ID token that is made for a nonce; name, role and scope, or the code of the error."""
    begun, state, nonce = await begin(oidc)
    provider.id_token = make(nonce)
    try:
        entered = await oidc.finish(begun.secret, Callback("code", state, ISSUER), HERE)
    except Fire22Error as error:
        return error.code.name, "", ""
    return entered.principal.subject, entered.principal.role, entered.principal.scope


REFUSED = ("provider_refused", "", "")


@pytest.mark.parametrize(
    "make",
    [
        lambda nonce: signed(said(nonce)),
        lambda nonce: signed(said(nonce), typ="JWT"),
        lambda nonce: signed(said(nonce, aud=["fire22"])),
        lambda nonce: signed(said(nonce, aud=["other", "fire22"], azp="fire22")),
        lambda nonce: signed(said(nonce, iat=NOW_S + 59, exp=NOW_S - 59)),
        lambda nonce: signed(said(nonce, groups="traders")),
    ],
)
async def test_good_id_tokens(make: Callable[[str], str]) -> None:
    """Whatever form the standard leaves to a provider; its clock may be a minute off."""
    assert await sign_in(*made(), make) == ("ann", "risk", "/")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda nonce: signed(said("n" + nonce[1:] + "n")), id="of another sign-in"),
        pytest.param(lambda nonce: signed(said(nonce, nonce=None)), id="without a nonce"),
        pytest.param(lambda nonce: signed(said(nonce, iss="https://evil.example")), id="of another issuer"),
        pytest.param(lambda nonce: signed(said(nonce, aud="other")), id="for another client"),
        pytest.param(lambda nonce: signed(said(nonce, aud=["other", "fire22"])), id="for several"),
        pytest.param(lambda nonce: signed(said(nonce, azp="other")), id="that another client asked for"),
        pytest.param(lambda nonce: signed(said(nonce, exp=NOW_S - 60)), id="expired"),
        pytest.param(lambda nonce: signed(said(nonce, exp=None)), id="without an end"),
        pytest.param(lambda nonce: signed(said(nonce, iat=NOW_S + 61)), id="of the future"),
        pytest.param(lambda nonce: signed(said(nonce, sub=None)), id="of nobody"),
        pytest.param(lambda nonce: signed(said(nonce), typ="logout+jwt"), id="for something else"),
        pytest.param(lambda nonce: signed(said(nonce), OTHER_KEY), id="by another key"),
        pytest.param(lambda nonce: signed(said(nonce), kid="two"), id="by a key that there is not"),
        pytest.param(lambda nonce: unsigned(said(nonce)), id="unsigned"),
        pytest.param(lambda nonce: confused(said(nonce)), id="by the public key as a secret"),
        pytest.param(lambda nonce: "", id="none"),
        pytest.param(lambda nonce: signed(said(nonce, groups=None)), id="in no group"),
        pytest.param(lambda nonce: signed(said(nonce, groups=[["traders"]])), id="with groups in groups"),
        pytest.param(lambda nonce: signed(said(nonce, groups={"traders": 1})), id="with groups that are no list"),
    ],
)
async def test_bad_id_tokens(make: Callable[[str], str]) -> None:
    """Each is refused, and nobody is signed in (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725)."""
    oidc, provider = made()
    assert await sign_in(oidc, provider, make) == REFUSED
    assert not oidc._people.sessions.of("staff:ann")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"state": "of another browser"}, "code_invalid"),
        ({"state": ""}, "code_invalid"),
        ({"iss": "https://evil.example"}, "provider_refused"),
        ({"code": ""}, "provider_refused"),
        ({"error": "access_denied"}, "provider_refused"),
    ],
)
async def test_answers_to_another_sign_in(changed: dict[str, str], code: str) -> None:
    """What comes back signs nobody in unless it answers what this browser has begun, and then it can be used once
    (RFC 6749 section 10.12, RFC 9207)."""
    oidc, provider = made()
    begun, state, nonce = await begin(oidc)
    provider.id_token = signed(said(nonce))
    good = Callback("code", state, ISSUER)
    with pytest.raises(Fire22Error) as refused:
        await oidc.finish(begun.secret, msgspec.structs.replace(good, **changed), HERE)
    assert refused.value.code.name == code
    with pytest.raises(Fire22Error) as again:
        await oidc.finish(begun.secret, good, HERE)
    assert again.value.code.name == "code_invalid"
    assert not oidc._people.sessions.of("staff:ann")


@pytest.mark.parametrize(
    ("changed", "header"),
    [
        pytest.param({"nonce": "n"}, {}, id="with a nonce, as ID tokens have"),
        pytest.param({"nonce": None}, {}, id="with a nonce that is null"),
        pytest.param({"events": {}}, {}, id="that tells of no logout"),
        pytest.param({"iss": "https://evil.example"}, {}, id="of another issuer"),
        pytest.param({"aud": "other"}, {}, id="for another client"),
        pytest.param({"sid": "", "sub": ""}, {}, id="of nobody"),
        pytest.param({"iat": NOW_S - 3600}, {}, id="of long ago"),
        pytest.param({"iat": NOW_S + 3600}, {}, id="of the future"),
        pytest.param({}, {"typ": "at+jwt"}, id="for something else"),
        pytest.param({}, {"kid": "two"}, id="by a key that there is not"),
    ],
)
async def test_bad_logout_tokens(changed: dict[str, object], header: dict[str, str]) -> None:
    """None ends a session, and a good one does so once (OpenID Connect Back-Channel Logout 1.0, section 2.6)."""
    oidc, provider = made()
    assert (await sign_in(oidc, provider, lambda nonce: signed(said(nonce))))[0] == "ann"
    token = {"iss": ISSUER, "aud": "fire22", "iat": NOW_S, "exp": NOW_S + 120, "jti": "j", "sid": "s1", "sub": "ann"}
    token |= {"events": {LOGOUT_EVENT: {}}}
    with pytest.raises(Fire22Error) as refused:
        await oidc.log_out(signed(token | changed, KEY, **header))
    assert refused.value.code.name == "logout_invalid"
    assert len(oidc._people.sessions.of("staff:ann")) == 1
    await oidc.log_out(signed(token, typ="logout+jwt"))
    assert not oidc._people.sessions.of("staff:ann")
    with pytest.raises(Fire22Error) as replayed:
        await oidc.log_out(signed(token))
    assert replayed.value.code.name == "logout_invalid"


def unsigned(claims: Mapping[str, object]) -> str:
    header = signature.encode(b'{"alg":"none","kid":"one"}')
    return f"{header}.{signature.encode(msgspec.json.encode(claims))}."


def confused(claims: Mapping[str, object]) -> str:
    header = signature.encode(b'{"alg":"HS256","kid":"one"}')
    text = f"{header}.{signature.encode(msgspec.json.encode(claims))}"
    return f"{text}.{signature.encode(hmac.digest(KEY.as_pem(private=False), text.encode(), 'sha256'))}"


@pytest.mark.parametrize("name", ["", "a b", "x" * 201, "a\nb", 7, ["ann"], None])
async def test_names_that_cannot_be_a_users(name: object) -> None:
    """A user must be one that messages can be addressed to."""
    oidc, provider = made(user_claim="login")
    assert await sign_in(oidc, provider, lambda nonce: signed(said(nonce, login=name))) == REFUSED


async def test_what_the_userinfo_endpoint_tells() -> None:
    """What the ID token lacks comes from there; what is of another user is refused, and replaces nothing."""
    oidc, provider = made()
    provider.userinfo = {"sub": "ann", "groups": ["agents"]}
    assert await sign_in(oidc, provider, lambda nonce: signed(said(nonce, groups=None))) == ("ann", "agent", "/M1")
    assert await sign_in(oidc, provider, lambda nonce: signed(said(nonce))) == ("ann", "risk", "/")
    for sub in ("bob", None):
        provider.userinfo = {"sub": sub, "groups": ["agents"]}
        assert await sign_in(oidc, provider, lambda nonce: signed(said(nonce, groups=None))) == REFUSED


async def test_the_first_row_of_the_table_counts() -> None:
    """Whatever the order in which the provider lists groups."""
    oidc, provider = made()
    for groups in (["traders", "agents"], ["agents", "traders"]):
        found = await sign_in(oidc, provider, lambda nonce, all=groups: signed(said(nonce, groups=all)))  # type: ignore[misc]
        assert found == ("ann", "agent", "/M1")


@pytest.mark.parametrize("role", ["nobody", "service"])
async def test_roles_that_no_person_has(role: str) -> None:
    """A role that there is not, or is for machines, is said at the start, and refuses if it becomes so later."""
    oidc, provider = made(groups=(GroupConfig("traders", role, "/"),))
    with pytest.raises(SetupError, match=role):
        oidc.check()
    assert await sign_in(oidc, provider, lambda nonce: signed(said(nonce))) == REFUSED
    made()[0].check()


async def test_many_that_begin_push_out_only_their_own() -> None:
    """A flood from one network does not end what somebody from another has begun."""
    oidc, provider = made()
    begun, state, nonce = await begin(oidc)
    flood = [await oidc.begin(Place("198.51.100.1")) for _ in range(FLOWS_ADDRESS_MAX + 1)]
    assert len(oidc._flows) == FLOWS_ADDRESS_MAX + 1
    with pytest.raises(Fire22Error, match="has not begun"):
        await oidc.finish(flood[0].secret, Callback("code", "state", ISSUER), HERE)
    provider.id_token = signed(said(nonce))
    assert (await oidc.finish(begun.secret, Callback("code", state, ISSUER), HERE)).principal.subject == "ann"


@pytest.mark.parametrize("by", [{"sid": "s1"}, {"sub": "ann"}])
async def test_a_logout_while_somebody_signs_in(by: dict[str, str]) -> None:
    """What the provider ends between its answer and the session's beginning does not begin."""
    oidc, provider = made()
    token = {"iss": ISSUER, "aud": "fire22", "iat": NOW_S, "jti": "j", "events": {LOGOUT_EVENT: {}}} | by
    redeem = provider.redeem

    async def and_log_out(code: str, verifier: str, *, redirect_uri: str) -> Answered:
        await oidc.log_out(signed(token))
        return await redeem(code, verifier, redirect_uri=redirect_uri)

    provider.redeem = and_log_out  # type: ignore[method-assign]
    assert await sign_in(oidc, provider, lambda nonce: signed(said(nonce))) == REFUSED
    assert not oidc._people.sessions.of("staff:ann")


def test_whom_a_logout_token_names() -> None:
    """A session by its id; a user by its own, with all sessions; never those of another issuer or user."""
    here = Provided(ISSUER, "ann", "s1")
    assert Provided(ISSUER, "ann", "s1").names(here)
    assert Provided(ISSUER, "ann").names(here)
    assert Provided(ISSUER, "", "s1").names(here)
    assert Provided(ISSUER, "ann", "s1").names(Provided(ISSUER, "ann"))
    assert not Provided(ISSUER, "ann", "s2").names(here)
    assert not Provided(ISSUER, "bob", "s1").names(here)
    assert not Provided(ISSUER, "", "s1").names(Provided(ISSUER, "ann"))
    assert not Provided("https://other", "ann").names(here)
    assert not Provided(ISSUER, "ann").names(None)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"issuer": "http://idp.example"}, "begins with https"),
        ({"issuer": "idp.example"}, "begins with https"),
        ({"url": "http://flows.example"}, "begins with https"),
        ({"client_id": ""}, "client_id"),
        ({"scopes": ("profile",)}, "openid"),
        ({"groups": ()}, "groups"),
        ({"groups": (GroupConfig("a", "risk", "M1"),)}, "groups"),
        ({"client_secret_file": "/nowhere/secret"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_work(changed: dict[str, object], why: str) -> None:
    """The server does not start, and says which setting it is."""
    with pytest.raises(SetupError, match=why):
        Provider(config(**changed), now_ms=lambda: NOW_MS)


def test_the_secret_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment goes first; an empty file is an error."""
    file = tmp_path / "secret"
    wanted = config(client_secret_file=str(file))
    file.write_text("of the file\n")
    assert Provider(wanted, now_ms=lambda: NOW_MS)._secret == "of the file"  # pragma: allowlist secret
    monkeypatch.setenv(VARIABLE, "of the environment")
    assert Provider(wanted, now_ms=lambda: NOW_MS)._secret == "of the environment"  # pragma: allowlist secret
    monkeypatch.delenv(VARIABLE)
    file.write_text("\n")
    with pytest.raises(SetupError, match="empty"):
        Provider(wanted, now_ms=lambda: NOW_MS)


async def test_nothing_secret_is_printed() -> None:
    """What passes through the flow shows itself in no log."""
    begun, state, _ = await begin(made()[0])
    for value in (begun, Callback("code", state, ISSUER), Answered("id", "access")):
        assert not {"code", state, "id", "access", begun.secret} & set(repr(value).replace("'", " ").split())
