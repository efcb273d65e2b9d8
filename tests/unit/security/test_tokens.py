"""Tokens and sign-in codes: who is let in, and who is not."""

import base64
import hashlib
import hmac

import msgspec
import pytest

from fire22.core.errors import AuthError, RequestError, SetupError
from fire22.core.message import Json
from fire22.core.role import Kind
from fire22.security.principal import Principal
from fire22.security.tokens import CODE_TTL_MS, SignInCodes, Tokens

NOW_MS = 1_767_225_600_000
KEY = b"0123456789abcdef0123456789abcdef"


def encode(part: bytes) -> bytes:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def signed(claims: Json, *, header: Json = None, key: bytes = KEY) -> str:
    """A token made by hand."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = encode(msgspec.json.encode(header)) + b"." + encode(msgspec.json.encode(claims))
    return (body + b"." + encode(hmac.digest(key, body, hashlib.sha256))).decode()


CLAIMS: dict[str, Json] = {"sub": "u1", "role": "agent", "scope": "/M1", "exp": NOW_MS // 1000 + 60}


def verified(token: str, tokens: Tokens | None = None) -> Principal:
    """Who a token says is asking, without the name of the key, which is another one in each process."""
    principal = (tokens or Tokens(KEY)).verify(token, now_ms=NOW_MS)
    assert principal.key
    return msgspec.structs.replace(principal, key="")


def refusal(token: str) -> str:
    """The code that a token is refused with."""
    with pytest.raises(AuthError) as caught:
        Tokens(KEY).verify(token, now_ms=NOW_MS)
    assert len(token) < 10 or token[:20] not in caught.value.message
    return caught.value.code.name


def test_round_trip() -> None:
    """What the server signs it lets in, with role, scope and end as they were said."""
    tokens = Tokens(KEY)
    token = tokens.sign(subject="u1", role="agent", scope="/M1", ttl_s=60, now_ms=NOW_MS)
    assert verified(token, tokens) == Principal("u1", "agent", "/M1", NOW_MS + 60_000, issued_ms=NOW_MS)


def test_a_token_of_another_program() -> None:
    """Any program that has the key may sign, may name topics, and may add claims of its own."""
    token = signed(CLAIMS | {"topics": ["kpi"], "iss": "x", "aud": "y", "iat": NOW_MS // 1000, "name": "Ann"})
    principal = verified(token)
    assert principal == Principal("u1", "agent", "/M1", NOW_MS + 60_000, ("kpi",), issued_ms=NOW_MS)


def test_a_user_is_of_a_kind() -> None:
    """The role says whether a user is staff, an agent, a customer or a machine, so that equal names are two users."""
    kinds: dict[str, Kind] = {"agent": "agent", "customer": "customer"}
    tokens = Tokens(KEY, lambda role: kinds.get(role, "staff"))
    users = [tokens.verify(signed(CLAIMS | {"role": role}), now_ms=NOW_MS).user for role in (*kinds, "admin")]
    assert users == ["agent:u1", "customer:u1", "staff:u1"]


@pytest.mark.parametrize("client", ["till-3", "x", "x" * 200, "安:ü/7"])
def test_client(client: str) -> None:
    """A token may name the device or installation that holds it, so that messages find it."""
    tokens = Tokens(KEY)
    token = tokens.sign(subject="u1", role="agent", scope="/M1", ttl_s=60, now_ms=NOW_MS, client=client)
    assert tokens.verify(token, now_ms=NOW_MS).client == client
    assert tokens.verify(signed(CLAIMS | {"client": client}), now_ms=NOW_MS).client == client
    assert tokens.verify(signed(CLAIMS), now_ms=NOW_MS).client == ""


def test_no_client_is_no_claim() -> None:
    """A token that names no client looks to other programs as it always did."""
    token = Tokens(KEY).sign(subject="u1", role="agent", scope="/M1", ttl_s=60, now_ms=NOW_MS, client="")
    payload = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert set(msgspec.json.decode(payload, type=dict[str, Json])) == {"sub", "role", "scope", "iat", "exp"}


@pytest.mark.parametrize("client", ["x" * 201, "a b", " a", "a\n", "\u2003", "a\x00"])
def test_sign_checks_the_client(client: str) -> None:
    """A token for a client that no message could be addressed to is not signed."""
    with pytest.raises(SetupError, match="1 to 200 characters"):
        Tokens(KEY).sign(subject="u", role="admin", scope="/", ttl_s=60, now_ms=NOW_MS, client=client)


def test_expiry() -> None:
    """A token ends at its second, by the server's clock, and says so."""
    tokens = Tokens(KEY)
    token = signed(CLAIMS)
    tokens.verify(token, now_ms=NOW_MS + 59_999)
    with pytest.raises(AuthError, match="token_expired"):
        tokens.verify(token, now_ms=NOW_MS + 60_000)


@pytest.mark.parametrize("claim", ["sub", "role", "scope", "exp"])
def test_claims_are_required(claim: str) -> None:
    """A token that does not say who, what, where and until when is none."""
    assert refusal(signed({name: value for name, value in CLAIMS.items() if name != claim})) == "token_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "M1"},
        {"scope": "/M1/"},
        {"scope": 5},
        {"exp": "soon"},
        {"exp": None},
        {"exp": 253_402_300_800},
        {"exp": 10**30},
        {"sub": ""},
        {"sub": "x" * 201},
        {"sub": 7},
        {"role": ["admin"]},
        {"topics": "kpi"},
        {"nbf": 9_999_999_999},
        {"client": ""},
        {"client": None},
        {"client": 7},
        {"client": "x" * 201},
        {"client": "a b"},
        {"client": "a\n"},
    ],
)
def test_bad_claims(changes: dict[str, Json]) -> None:
    """A claim that is not as it must be makes the token invalid."""
    assert refusal(signed(CLAIMS | changes)) == "token_invalid"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\x00",
        "x" * 100_000,
        signed(CLAIMS)[:-1],
        signed(CLAIMS) + "A",
        signed(CLAIMS) + ".A",
        signed(CLAIMS, key=b"another key of thirty-two bytes!"),
        signed(CLAIMS, header={"alg": "none"}),
        signed(CLAIMS, header={"alg": "none"}).rpartition(".")[0] + ".",
        signed(CLAIMS, header={"alg": "HS384"}),
        signed(CLAIMS, header={"alg": "RS256"}),
        signed(CLAIMS, header={"alg": "hs256"}),
        signed(CLAIMS, header={"typ": "JWT"}),
        signed(CLAIMS, header=[]),
        signed([1, 2]),
        signed("text"),
        signed(None),
    ],
    ids=lambda token: token[:30],
)
def test_forgeries(token: str) -> None:
    """What this server's key has not signed with HS256 is not let in, whatever its header says."""
    assert refusal(token) == "token_invalid"


def test_payload_cannot_be_changed() -> None:
    """A signature holds for its own claims alone."""
    head, _, signature = signed(CLAIMS).split(".")
    body = encode(msgspec.json.encode(CLAIMS | {"role": "admin"})).decode()
    assert refusal(f"{head}.{body}.{signature}") == "token_invalid"


@pytest.mark.parametrize("scope", ["", "M1", "/M1 ", "//"])
def test_sign_checks_the_scope(scope: str) -> None:
    """A token for a scope that cannot be is not signed."""
    with pytest.raises(RequestError, match="scope_invalid"):
        Tokens(KEY).sign(subject="u", role="admin", scope=scope, ttl_s=60, now_ms=NOW_MS)


def test_short_key() -> None:
    """A key that can be guessed is refused at the start."""
    with pytest.raises(SetupError, match="at least 32 bytes"):
        Tokens(b"secret")


# Sign-in codes.

ANN = Principal("ann", "admin", "/", NOW_MS + 1)


def test_code_works_once() -> None:
    """A link signs one browser in, once."""
    codes = SignInCodes()
    code = codes.issue(ANN, now_ms=NOW_MS)
    assert codes.redeem(code, now_ms=NOW_MS) == ANN
    with pytest.raises(AuthError, match="code_invalid"):
        codes.redeem(code, now_ms=NOW_MS)


def test_code_ends() -> None:
    """A link that was not used in time is worth nothing."""
    codes = SignInCodes()
    in_time, late = codes.issue(ANN, now_ms=NOW_MS), codes.issue(ANN, now_ms=NOW_MS)
    assert codes.redeem(in_time, now_ms=NOW_MS + CODE_TTL_MS - 1)
    with pytest.raises(AuthError, match="code_invalid"):
        codes.redeem(late, now_ms=NOW_MS + CODE_TTL_MS)


@pytest.mark.parametrize("code", ["", "x", "é", "\x00" * 10_000])
def test_guessed_code(code: str) -> None:
    """A code that was never given signs nobody in, and uses up no other."""
    codes = SignInCodes()
    good = codes.issue(ANN, now_ms=NOW_MS)
    with pytest.raises(AuthError, match="code_invalid"):
        codes.redeem(code, now_ms=NOW_MS)
    assert codes.redeem(good, now_ms=NOW_MS) == ANN


def test_codes_are_bounded() -> None:
    """However many links are asked for, only the newest are kept."""
    codes = SignInCodes(codes_max=3)
    issued = [codes.issue(ANN, now_ms=NOW_MS) for _ in range(5)]
    assert len(set(issued)) == 5
    for code in issued[:2]:
        with pytest.raises(AuthError):
            codes.redeem(code, now_ms=NOW_MS)
    for code in issued[2:]:
        assert codes.redeem(code, now_ms=NOW_MS) == ANN
