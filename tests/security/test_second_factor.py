"""Attacks on second factors: codes that are used again, guessed or found out, and ways around a factor that is due."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import msgspec
import pyotp
import pytest
import pytest_asyncio
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fire22 import app
from fire22.cli.terminal import program
from fire22.core.errors import RequestError
from fire22.security.people import People, Place
from fire22.security.principal import Principal
from tests.integration.inside import make_config, sign, talking, until
from tests.integration.test_audit import entries
from tests.support.memory_store import MemoryStore
from tests.support.people import people as made

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD: Final = "correct horse battery"  # pragma: allowlist secret
HERE: Final = Place("192.0.2.1", "Firefox")
STEP_MS: Final = 30_000


class Clock:
    """Time that passes when it is told to."""

    now_ms = 100 * STEP_MS

    def __call__(self) -> int:
        """What time it is."""
        return self.now_ms


class Ann:
    """A risk manager with an app, on a store in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore()
        self.people: People = made(self.clock, self.store)
        self.totp = pyotp.TOTP(pyotp.random_base32())
        self.recovery: list[str] = []
        self.device = ""

    async def begin(self) -> "Ann":
        """Sign in, and set the second factor up."""
        people = self.people
        await people.load()
        await people.users.add("ann", role="risk", scope="/", password=await people.passwords.hash(PASSWORD))
        entered = await people.enter("ann", PASSWORD, HERE)
        self.device = entered.device
        self.totp = pyotp.TOTP(await people.enrol(entered.principal, PASSWORD, ""))
        self.recovery = await people.confirm(entered.principal, self.code())
        self.clock.now_ms += STEP_MS
        return self

    def code(self) -> str:
        """What the app shows now."""
        return self.totp.generate_otp(self.clock.now_ms // STEP_MS)

    def wrong(self) -> str:
        """What it does not show."""
        step = self.clock.now_ms // STEP_MS
        shown = {self.totp.generate_otp(each) for each in (step - 1, step, step + 1)}
        return next(code for code in ("000000", "000001", "000002", "000003") if code not in shown)

    async def enter(self, otp: str = "", password: str = PASSWORD, place: Place = HERE) -> str:
        """How a sign-in ends."""
        try:
            await self.people.enter("ann", password, place, otp)
        except RequestError as error:
            return error.code.name
        return ""


async def test_a_code_is_good_once() -> None:
    """Who has seen it typed cannot use it again, and of two who use it at the same time one gets in."""
    ann = await Ann().begin()
    code = ann.code()
    assert sorted(await asyncio.gather(ann.enter(code), ann.enter(code))) == ["", "second_factor_invalid"]
    assert await ann.enter(code) == "second_factor_invalid"
    ann.clock.now_ms += STEP_MS
    assert await ann.enter(ann.code()) == ""


async def test_the_code_that_confirmed_does_not_sign_in() -> None:
    """It was used."""
    ann = await Ann().begin()
    ann.clock.now_ms -= STEP_MS
    assert await ann.enter(ann.code()) == "second_factor_invalid"


async def test_a_recovery_code_is_good_once() -> None:
    """In place of the app; the store has no more than a digest of it."""
    ann = await Ann().begin()
    assert len(ann.recovery) == 10
    assert await ann.enter(ann.recovery[0]) == ""
    assert await ann.enter(ann.recovery[0]) == "second_factor_invalid"
    assert await ann.enter(ann.recovery[1]) == ""
    kept = b"".join(row.value for row in ann.store.rows.values())
    assert not any(code.encode() in kept or code.replace("-", "").encode() in kept for code in ann.recovery)


async def test_a_wrong_password_tells_nothing_of_the_second_factor() -> None:
    """With a good code, a bad one and none, for a user with one and for a name that there is not."""
    ann = await Ann().begin()
    for otp in (ann.code(), ann.wrong(), ann.recovery[0], ""):
        assert await ann.enter(otp, "wrong") == "sign_in_failed"
    with pytest.raises(RequestError) as unknown:
        await ann.people.enter("nobody", PASSWORD, HERE, ann.code())
    assert unknown.value.code.name == "sign_in_failed"
    assert await ann.enter(ann.code()) == ""  # it was not used up


async def test_wrong_codes_are_throttled() -> None:
    """Who knows the password has five guesses, and then one in ten minutes; elsewhere the owner goes on."""
    ann = await Ann().begin()
    for _ in range(5):
        assert await ann.enter(ann.wrong()) == "second_factor_invalid"
    assert await ann.enter(ann.code()) == "rate_limited"
    assert await ann.enter(ann.code(), place=Place("198.51.100.7", "curl")) == "rate_limited"
    assert await ann.enter(ann.code(), place=Place("192.0.2.1", "Firefox", ann.device)) == ""
    ann.clock.now_ms += 600_000
    assert await ann.enter(ann.code()) == ""


async def test_asking_for_the_code_is_no_failure() -> None:
    """The page asks first without one: as often as somebody signs in."""
    ann = await Ann().begin()
    for _ in range(30):
        assert await ann.enter() == "second_factor_required"
    assert await ann.enter(ann.code()) == ""


async def test_a_stolen_session_does_not_change_the_second_factor() -> None:
    """Each change takes the password again; confirming needs a secret that was asked for with it."""
    ann = await Ann().begin()
    entered = await ann.people.enter("ann", PASSWORD, HERE, ann.code())
    people, mine = ann.people, entered.principal
    for act in (people.enrol, people.renew_recovery, people.remove_factor):
        with pytest.raises(RequestError) as refused:
            await act(mine, "wrong", "")
        assert refused.value.code.name == "sign_in_failed"
    ann.clock.now_ms += STEP_MS
    with pytest.raises(RequestError) as refused:
        await people.confirm(mine, ann.code())
    assert refused.value.code.name == "second_factor_invalid"


async def test_the_old_factor_counts_until_the_new_one_is_confirmed() -> None:
    """Who begins and does not end is not locked out; afterwards only the new app and the new codes are good."""
    ann = await Ann().begin()
    mine = (await ann.people.enter("ann", PASSWORD, HERE, ann.code())).principal
    new = pyotp.TOTP(await ann.people.enrol(mine, PASSWORD, ""))
    ann.clock.now_ms += STEP_MS
    assert await ann.enter(ann.code()) == ""
    recovery = await ann.people.confirm(mine, new.generate_otp(ann.clock.now_ms // STEP_MS))
    assert [id for id, _ in ann.people.sessions.of("staff:ann")] == [mine.session]
    ann.clock.now_ms += STEP_MS
    assert await ann.enter(ann.code()) == "second_factor_invalid"
    assert await ann.enter(ann.recovery[0]) == "second_factor_invalid"
    assert await ann.enter(recovery[0]) == ""


async def test_new_recovery_codes_replace_the_old_ones() -> None:
    """A lost sheet of paper is worth nothing."""
    ann = await Ann().begin()
    mine = (await ann.people.enter("ann", PASSWORD, HERE, ann.code())).principal
    recovery = await ann.people.renew_recovery(mine, PASSWORD, "")
    assert await ann.enter(ann.recovery[0]) == "second_factor_invalid"
    assert await ann.enter(recovery[0]) == ""
    await ann.people.remove_factor(mine, PASSWORD, "")
    assert await ann.enter() == ""
    with pytest.raises(RequestError) as refused:
        await ann.people.renew_recovery(mine, PASSWORD, "")
    assert refused.value.code.name == "not_found"


async def test_who_came_by_a_link_is_not_asked_for_one() -> None:
    """The link is for the first of all; and it has no second factor of the user of the same name."""
    people = made(Clock(), factor_roles=("risk",))
    await people.load()
    entered = await people.enter_as(Principal("ann", "risk", "/", 0), HERE)
    assert not people.lacks_factor(entered.principal)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book, where cashiers must have a second factor."""
    folder = tmp_path_factory.mktemp("second_factor") / "data"
    async with app.running(make_config(folder, auth={"second_factor_roles": ["cashier"]})) as running:
        yield running


class Browser:
    """Signs somebody in over HTTP."""

    def __init__(self, server: app.Application, client: httpx2.AsyncClient, name: str, role: str) -> None:
        self.server, self.client, self.name, self.role = server, client, name, role
        self.admin = {"authorization": f"Bearer {sign(server)}"}
        self.password = ""
        self.headers: dict[str, str] = {}
        self.secrets: list[str] = []  # what must never be seen again

    async def begin(self) -> None:
        """Have an administrator add the user."""
        body = {"name": self.name, "role": self.role, "scope": "/"}
        self.password = (await self.client.post("/v1/users", json=body, headers=self.admin)).json()["password"]

    async def enter(self, otp: str | None = None) -> str:
        """Sign in; the code of a refusal, or nothing."""
        body = {"name": self.name, "password": self.password} | ({} if otp is None else {"otp": otp})
        self.headers = {"origin": self.server.address.url}
        answer = await self.client.post("/v1/session", json=body, headers=self.headers)
        self.client.cookies.clear()
        if answer.status_code != 200:
            return str(answer.json()["code"])
        cookie = "; ".join(value.partition(";")[0] for value in answer.headers.get_list("set-cookie"))
        self.headers |= {"cookie": cookie, "x-csrf-token": answer.json()["csrf"]}
        return ""

    async def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Ask for something with the session."""
        answer = await self.client.request(method, path, json=body, headers=self.headers)
        return answer.status_code, answer.json() if answer.content else {}

    async def enrol(self) -> list[str]:
        """Set a second factor up; its recovery codes."""
        status, enrolment = await self.ask("POST", "/v1/second-factor", {"password": self.password})
        assert status == 200 and enrolment["address"].startswith("otpauth://totp/"), enrolment
        code = pyotp.TOTP(enrolment["secret"]).generate_otp(app.now_ms() // STEP_MS)
        status, recovery = await self.ask("POST", "/v1/second-factor/confirm", {"otp": code})
        assert status == 200, recovery
        codes: list[str] = recovery["codes"]
        self.secrets += [enrolment["secret"], code, *codes]
        return codes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: app.Application) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to it."""
    async with httpx2.AsyncClient(base_url=server.address.url, timeout=60) as client:
        yield client


async def websocket(browser: Browser) -> str:
    """Open a WebSocket and ask for something; the refusal, or nothing."""
    try:
        async with talking(browser.server, token=None, headers=browser.headers) as talk:
            with contextlib.suppress(ConnectionClosed):  # what it was told before is read all the same
                await talk.send("ping")
            answer = (await talk.receive())[0]
            return "" if answer.type == "reply" else str(answer.code)
    except InvalidStatus as error:
        return f"HTTP {error.response.status_code}"


async def test_a_role_that_must_have_one_does_nothing_before(
    server: app.Application, client: httpx2.AsyncClient
) -> None:
    """Every route but those for setting it up, and the WebSocket, refuse; then all of them take the same session.
    Once it is removed, they refuse again."""
    cleo = Browser(server, client, "cleo", "cashier")
    await cleo.begin()
    assert await cleo.enter() == ""
    status, said = await cleo.ask("GET", "/v1/session")
    assert (status, said["lacksSecondFactor"], said["hasSecondFactor"]) == (200, True, False)
    asked = 0
    for row in server.routes.rows:
        if row.handler is None or row.who in ("anybody", "operators") or row.enrolling:
            continue
        path = row.path.replace("{topic}", "balances").replace("{name}", "x").replace("{id}", "x").replace("{seq}", "1")
        status, said = await cleo.ask(row.method, path, {} if row.body_bytes_max else None)
        assert (status, said["code"]) == (403, "second_factor_missing"), f"{row.method} {row.path}"
        asked += 1
    assert asked > 20
    assert await websocket(cleo) == "second_factor_missing"
    recovery = await cleo.enrol()
    assert await websocket(cleo) == ""
    status, said = await cleo.ask("GET", "/v1/session")
    assert (said["lacksSecondFactor"], said["hasSecondFactor"], said["recoveryCodes"]) == (False, True, 10)
    assert await cleo.enter() == "second_factor_required"
    assert await cleo.enter(recovery[0]) == ""
    assert (await cleo.ask("GET", "/v1/views/balances"))[0] == 200
    status, _ = await cleo.ask("POST", "/v1/second-factor/remove", {"password": cleo.password})
    assert status == 204
    assert (await cleo.ask("GET", "/v1/session"))[0] == 401  # it would do without the factor otherwise
    assert await cleo.enter() == ""
    assert await websocket(cleo) == "second_factor_missing"


async def test_who_lacks_one_may_sign_out(server: app.Application, client: httpx2.AsyncClient) -> None:
    """The session ends on the server, not only in the browser."""
    carl = Browser(server, client, "carl", "cashier")
    await carl.begin()
    assert await carl.enter() == ""
    assert (await carl.ask("DELETE", "/v1/session"))[0] == 204
    assert (await carl.ask("GET", "/v1/session"))[0] == 401


async def test_an_administrator_removes_a_lost_one(server: app.Application, client: httpx2.AsyncClient) -> None:
    """On the page and by the program: all sessions end, and the password alone signs in; nobody else may do so."""
    dora = Browser(server, client, "dora", "risk")
    await dora.begin()
    assert await dora.enter() == ""

    async def shown() -> bool:
        answer = await client.get("/v1/users", headers=dora.admin)
        return next(bool(user.get("secondFactor")) for user in answer.json()["users"] if user["name"] == "dora")

    assert not await shown()
    await dora.enrol()
    assert await shown()
    agent = {"authorization": f"Bearer {sign(server, role='risk')}"}
    assert (await client.delete("/v1/users/dora/second-factor", headers=agent)).status_code == 403
    assert (await client.delete("/v1/users/dora/second-factor", headers=dora.admin)).status_code == 204
    assert (await dora.ask("GET", "/v1/session"))[0] == 401
    assert await dora.enter() == "" and not await shown()
    await dora.enrol()
    arguments = ["user", "totp-remove", "dora", "--data", str(server.config.folder)]
    done = await asyncio.to_thread(CliRunner().invoke, program, arguments)
    assert done.exit_code == 0, done.output
    await until(lambda: not server.people.sessions.of("staff:dora"))
    assert await dora.enter() == ""


async def test_no_secret_is_left_behind(
    server: app.Application, client: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in the audit trail nor in the log of the server, nor in what it answers about the user."""
    emma = Browser(server, client, "emma", "risk")
    await emma.begin()
    assert await emma.enter() == ""
    recovery = await emma.enrol()
    assert await emma.enter("123 456 wrong") == "second_factor_invalid"
    assert await emma.enter(recovery[0]) == ""
    status, renewed = await emma.ask("POST", "/v1/second-factor/recovery", {"password": emma.password})
    assert status == 200
    emma.secrets += [*renewed["codes"], emma.password, "123 456 wrong"]
    trail = await entries(server)
    assert {"user.second_factor", "user.recovery_codes", "request.done"} <= {entry.action for entry in trail}
    listed = (await client.get("/v1/users", headers=emma.admin)).text
    seen = "".join(msgspec.json.encode(entry).decode() for entry in trail) + listed + "".join(capfd.readouterr())
    seen += repr(server.people.users.get("emma"))
    assert not [secret for secret in emma.secrets if secret in seen]
