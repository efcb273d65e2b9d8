"""Signing in by name and password: passwords, users, sessions, throttling."""

import asyncio

import pytest

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError
from fire22.security.passwords import Passwords
from fire22.security.people import People, Place
from fire22.security.principal import Principal
from fire22.security.sessions import PREFIX as SESSIONS
from fire22.security.sessions import id_of
from fire22.security.throttle import ADDRESS, USER, Devices, Throttle, prefix_of
from fire22.store.base import Delete, Put
from tests.support.memory_store import MemoryStore
from tests.support.people import people as made

PASSWORD = "correct horse battery"  # pragma: allowlist secret
HERE = Place("192.0.2.1", "Firefox")


class Clock:
    """Time that passes when it is told to."""

    now_ms = 1_000_000

    def __call__(self) -> int:
        """What time it is."""
        return self.now_ms


async def with_ann(clock: Clock, store: MemoryStore | None = None) -> People:
    """Ann, a risk manager of /M1."""
    people = made(clock, store)
    await people.load()
    await people.users.add("ann", role="risk", scope="/M1", password=await people.passwords.hash(PASSWORD))
    return people


async def code_of(people: People, name: str, password: str, place: Place = HERE) -> str:
    """How a sign-in ends."""
    try:
        await people.enter(name, password, place)
    except RequestError as error:
        return error.code.name
    return ""


async def test_a_user_signs_in_and_is_who_the_row_says() -> None:
    """The session has the user's role and scope and survives a restart; the secrets are not in the store."""
    clock, store = Clock(), MemoryStore()
    people = await with_ann(clock, store)
    entered = await people.enter("ann", PASSWORD, HERE)
    principal = entered.principal
    assert (principal.user, principal.role, principal.scope) == ("staff:ann", "risk", "/M1")
    assert principal.session == id_of(entered.secret)
    again = made(clock, store)
    await again.load()
    assert again.sessions.principal(entered.secret) == principal
    [(id, session)] = again.sessions.of("staff:ann")
    assert (id, session.agent, session.address) == (principal.session, "Firefox", "192.0.2.1")
    kept = b"".join(item.value + item.key.encode() for item in store.rows.values())
    assert entered.secret.encode() not in kept
    assert PASSWORD.encode() not in kept
    for shown in (repr(entered), repr(again.users.get("ann"))):
        assert entered.secret not in shown
        assert "argon2" not in shown


async def test_each_sign_in_has_a_session_of_its_own() -> None:
    """Whatever the browser brought, it leaves with a new secret."""
    people = await with_ann(Clock())
    secrets = {(await people.enter("ann", PASSWORD, HERE)).secret for _ in range(3)}
    assert len(secrets) == 3
    assert all(len(each) == 43 for each in secrets)


async def test_unknown_names_and_wrong_passwords_look_alike() -> None:
    """A known, an unknown and a disabled name cost one check each, and are answered alike."""
    people = await with_ann(Clock())
    await people.users.add("bob", role="risk", scope="/", password=await people.passwords.hash(PASSWORD))
    await people.disable("bob")
    for count, (name, password) in enumerate([("ann", "wrong"), ("nobody", "wrong"), ("bob", PASSWORD)], 1):
        assert await code_of(people, name, password) == "sign_in_failed"
        assert people.passwords.checked == count


async def test_a_session_ends_without_use_and_after_its_longest_time() -> None:
    """An hour without use ends it; use puts that off, but not beyond a day."""
    clock = Clock()
    people = await with_ann(clock)
    secret = (await people.enter("ann", PASSWORD, HERE)).secret
    for _ in range(25):
        clock.now_ms += 3_500_000
        if clock.now_ms >= 1_000_000 + 86_400_000:
            break
        people.sessions.principal(secret)
    with pytest.raises(AuthError) as ended:
        people.sessions.principal(secret)
    assert ended.value.code is codes.TOKEN_EXPIRED
    idle = (await people.enter("ann", PASSWORD, HERE)).secret
    clock.now_ms += 3_600_000
    with pytest.raises(AuthError):
        people.sessions.principal(idle)
    await people.sessions.write()
    assert not people.sessions.of("staff:ann")


async def test_an_open_connection_is_use() -> None:
    """Who watches the page all day is not signed out for it."""
    clock = Clock()
    people = await with_ann(clock)
    secret = (await people.enter("ann", PASSWORD, HERE)).secret
    people.sessions.held = lambda: [id_of(secret)]
    for _ in range(5):
        clock.now_ms += 3_000_000
        await people.sessions.write()
    assert people.sessions.principal(secret).subject == "ann"


async def test_a_changed_password_ends_all_other_sessions() -> None:
    """Who took a session of mine has it no longer; the old password is none any more."""
    people = await with_ann(Clock())
    mine, other = [(await people.enter("ann", PASSWORD, HERE)) for _ in range(2)]
    with pytest.raises(AuthError):
        await people.change_password(mine.principal, "wrong", "another good one", "")
    with pytest.raises(RequestError) as weak:
        await people.change_password(mine.principal, PASSWORD, "short", "")
    assert weak.value.code is codes.PASSWORD_WEAK
    await people.change_password(mine.principal, PASSWORD, "another good one", "")
    people.sessions.principal(mine.secret)
    with pytest.raises(AuthError):
        people.sessions.principal(other.secret)
    assert await code_of(people, "ann", PASSWORD) == "sign_in_failed"
    assert await code_of(people, "ann", "another good one") == ""


@pytest.mark.parametrize("act", ["passwd", "end"])
async def test_a_change_of_password_does_not_undo_what_an_administrator_did_meanwhile(
    monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """While a thief's new password is hashed, the administrator sets another one, or ends the sessions."""
    people = await with_ann(Clock())
    entered = await people.enter("ann", PASSWORD, HERE)
    hash = people.passwords.hash
    reset = await hash("the reset password")

    async def meanwhile(password: str) -> str:
        if act == "passwd":
            await people.users.set_password("ann", reset)
        else:
            await people.sessions.end_all("staff:ann")
        return await hash(password)

    monkeypatch.setattr(people.passwords, "hash", meanwhile)
    with pytest.raises(RequestError) as refused:
        await people.change_password(entered.principal, PASSWORD, "the password of a thief", "")
    assert refused.value.code is (codes.ID_CONFLICT if act == "passwd" else codes.TOKEN_REVOKED)
    assert await code_of(people, "ann", "the password of a thief") == "sign_in_failed"


@pytest.mark.parametrize("act", ["disable", "passwd", "end"])
async def test_what_another_process_ends_ends_here(act: str) -> None:
    """The program's commands write to the store beside the server, which then loads it again."""
    clock, store = Clock(), MemoryStore()
    server = await with_ann(clock, store)
    secret = (await server.enter("ann", PASSWORD, HERE)).secret
    command = made(clock, store)
    await command.load()
    if act == "disable":
        await command.users.set_disabled("ann", True)
    elif act == "passwd":
        await command.users.set_password("ann", "another hash")
    else:
        await command.sessions.end(id_of(secret))
    await server.load()
    with pytest.raises(AuthError):
        server.sessions.principal(secret)


async def test_a_name_belongs_to_one_user() -> None:
    """An agent cannot take the name of one of the staff, and what is no name is refused."""
    people = await with_ann(Clock())
    for name in ("ann", "local", "CLI", "", "a b", "-x", "a:b", "x" * 65, "ä"):
        with pytest.raises(RequestError) as refused:
            await people.users.add(name, role="agent", scope="/")
        assert refused.value.code is codes.USER_INVALID


async def test_an_attacker_cannot_lock_the_owner_out() -> None:
    """Guesses from anywhere exhaust what unknown devices have; a device that was used before goes on."""
    people = await with_ann(Clock())
    device = (await people.enter("ann", PASSWORD, HERE)).device
    told = [await code_of(people, "ann", "guess", Place(f"198.51.100.{n}")) for n in range(USER.burst + 1)]
    assert told == ["sign_in_failed"] * USER.burst + ["rate_limited"]
    assert await code_of(people, "ann", PASSWORD, Place("203.0.113.9")) == "rate_limited"
    assert await code_of(people, "ann", PASSWORD, Place("203.0.113.9", device=device)) == ""
    assert await code_of(people, "ann", PASSWORD, Place("203.0.113.9", device=device + "x")) == "rate_limited"
    stolen = [
        await code_of(people, "ann", "guess", Place("198.51.100.1", device=device)) for _ in range(USER.burst + 1)
    ]
    assert stolen[-1] == "rate_limited"


async def test_names_that_there_are_not_are_throttled_alike() -> None:
    """The throttle tells nobody which names there are, and refuses before it hashes."""
    people = await with_ann(Clock())
    for name in ("ann", "nobody"):
        before = people.passwords.checked
        told = [await code_of(people, name, "guess", Place(f"{name}-{n}")) for n in range(USER.burst + 2)]
        assert told == ["sign_in_failed"] * USER.burst + ["rate_limited"] * 2
        assert people.passwords.checked - before == USER.burst


def test_a_bucket_takes_its_burst_and_refills() -> None:
    """After an interval there is room for one more; what was no failure is given back; all buckets or none."""
    throttle = Throttle()
    for _ in range(USER.burst):
        throttle.take([("a", USER)], now_ms=0)
    with pytest.raises(RequestError) as refused:
        throttle.take([("a", USER), ("b", ADDRESS)], now_ms=0)
    assert refused.value.retry_after_s == USER.interval_ms / 1000
    throttle.take([("a", USER)], now_ms=USER.interval_ms)
    throttle.give_back([("a", USER)])
    throttle.take([("a", USER)], now_ms=USER.interval_ms)
    for _ in range(ADDRESS.burst):
        throttle.take([("b", ADDRESS)], now_ms=0)


def test_a_device_cookie_is_of_one_user() -> None:
    """It cannot be made without the key, nor used for somebody else."""
    devices = Devices(b"k" * 32)
    cookie = devices.sign("ann")
    assert devices.device(cookie, "ann") == cookie.partition(".")[0]
    assert not devices.device(cookie, "bob")
    assert not Devices(b"n" * 32).device(cookie, "ann")
    assert not devices.device("", "ann")
    assert not devices.device("x.é", "ann")


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_is_counted_of_an_address(address: str, prefix: str) -> None:
    """Who has a /64 has all of its addresses."""
    assert prefix_of(address) == prefix


async def test_address_prefixes_take_turns() -> None:
    """A flood from one prefix holds up nobody else, and gives places up."""
    passwords = Passwords(waiting_max=4)
    hashed = await passwords.hash(PASSWORD)
    order: list[str] = []

    async def check(prefix: str) -> None:
        try:
            await passwords.check(hashed, PASSWORD, prefix)
            order.append(prefix)
        except RequestError:
            order.append(f"{prefix} refused")

    async with asyncio.TaskGroup() as tasks:
        for prefix in ["flood"] * 8 + ["good"]:
            tasks.create_task(check(prefix))
    passwords.close()
    assert order.count("flood refused") == 4
    assert [each for each in order if "refused" not in each].index("good") <= 2
    assert "good refused" not in order


class Slow(MemoryStore):
    """A store that waits with the row of a session until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.go = asyncio.Event(), asyncio.Event()

    async def write(self, *changes: Put | Delete) -> int:
        """See Store."""
        if any(isinstance(each, Put) and each.key.startswith(SESSIONS) for each in changes):
            self.waits.set()
            await self.go.wait()
        return await super().write(*changes)


@pytest.mark.parametrize("act", ["reset", "disable", "remove"])
async def test_a_sign_in_that_began_before_a_reset(act: str) -> None:
    """A thief whose sign-in is under way while the password is reset, or the user is disabled or removed, is not let
    in, and no session is left.
    """
    store = Slow()
    people = await with_ann(Clock(), store)
    entering = asyncio.ensure_future(code_of(people, "ann", PASSWORD))
    await store.waits.wait()
    if act == "reset":
        await people.users.set_password("ann", await people.passwords.hash("another good one"))
        await people.sessions.end_all("staff:ann")
    else:
        await (people.disable("ann") if act == "disable" else people.remove("ann"))
    store.go.set()
    assert await entering == "sign_in_failed"
    assert people.sessions.of("staff:ann") == []
    assert not [key for key in store.rows if key.startswith(SESSIONS)]
    people.close()


async def test_a_disabled_user_has_no_session_whatever_was_revoked() -> None:
    """The row of a user alone refuses the sessions by its password, before any revocation has arrived."""
    people = await with_ann(Clock())
    entered = await people.enter("ann", PASSWORD, HERE)
    assert people.sessions.principal(entered.secret).subject == "ann"
    await people.users.set_disabled("ann", True)
    with pytest.raises(AuthError) as refused:
        people.sessions.principal(entered.secret)
    assert refused.value.code is codes.TOKEN_REVOKED
    people.close()


async def test_passwords_do_not_expire() -> None:
    """Nobody is made to change a password by its age alone: after ten years it still signs in."""
    clock = Clock()
    people = await with_ann(clock)
    clock.now_ms += 10 * 365 * 86_400_000
    assert await code_of(people, "ann", PASSWORD) == ""
    people.close()


async def test_a_link_of_before_a_user_was_there() -> None:
    """Who came by the one-time link has the link's role, and no password to change."""
    people = made(Clock())
    await people.load()
    entered = await people.enter_as(Principal("local", "admin", "/", 0), HERE)
    assert (entered.principal.role, entered.device) == ("admin", "")
    with pytest.raises(RequestError) as refused:
        await people.change_password(entered.principal, "", PASSWORD, "")
    assert refused.value.code is codes.USER_UNKNOWN
