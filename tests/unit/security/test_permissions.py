"""The table of roles as an operator changes it: what is kept, who may change what, and what can be no role."""

import asyncio
from typing import Any, Final

import msgspec
import pytest

from fire22.core.errors import RequestError, SetupError
from fire22.core.role import Grant, Role, excess
from fire22.security.access import Access
from fire22.security.permissions import Permissions
from fire22.security.principal import Principal
from tests.support.memory_store import MemoryStore

TOPICS: Final = {"kpi": ("name", "balance"), "wagers": ("wagerId",), "news": ()}
COMMANDS: Final = {"wager.settle": False, "wager.place": True}
CHIEF: Final = Role(
    frozenset({"kpi"}),
    administer=True,
    commands={"wager.settle": Grant(alone_max_minor=1_000, approve=True), "wager.place": Grant(flagged=True)},
)
ROLES: Final = {
    "admin": Role(None, publish=True, administer=True, commands=dict.fromkeys(COMMANDS, Grant(approve=True))),
    "chief": CHIEF,
    "agent": Role(frozenset({"kpi"}), kind="agent"),
    "risk": Role(frozenset({"wagers"})),
}


class World:
    """A store, and the permissions on it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.access = Access(ROLES)
        self.told: list[str] = []
        self.permissions = self.start()

    def start(self) -> Permissions:
        """What a server has after its start."""
        self.access = Access(ROLES)
        permissions = Permissions(self.store, self.access, topics=TOPICS, commands=COMMANDS)
        permissions.listen(self.told.append)
        asyncio.run(permissions.load())
        self.permissions = permissions
        return permissions

    def put(self, name: str, role: Role, by: str = "admin", scope: str = "/") -> None:
        """Change a role."""
        asyncio.run(self.permissions.put(Principal("ann", by, scope, 1), name, role))

    def refused(self, name: str, role: Role, by: str = "admin", scope: str = "/") -> str:
        """A change that must be refused, and change nothing; the code."""
        before, kept = self.permissions.all(), dict(self.store.rows)
        with pytest.raises(RequestError) as caught:
            self.put(name, role, by, scope)
        assert (self.permissions.all(), self.store.rows, self.told) == (before, kept, [])
        return caught.value.code.name


@pytest.fixture
def world() -> World:
    """A new installation."""
    return World()


def test_a_change_counts_at_once_and_survives(world: World) -> None:
    """A new role can do what it was given from then on, also after a restart, and whoever listens is told."""
    clerk = Role(frozenset({"wagers"}), commands={"wager.settle": Grant(alone_max_minor=100_000)})
    world.put("clerk", clerk)
    assert world.access.grants("clerk")["wager.settle"].alone_max_minor == 100_000
    assert world.access.sees(Principal("u", "clerk", "/", 1), "wagers")
    world.put("risk", Role())
    assert world.told == ["clerk", "risk"]
    world.start()
    assert world.permissions.get("clerk") == clerk
    assert not world.access.sees(Principal("u", "risk", "/", 1), "wagers")


@pytest.mark.parametrize(
    ("name", "role", "code"),
    [
        ("admin", ROLES["admin"], "forbidden"),
        ("risk", Role(kind="agent"), "role_invalid"),
        ("Clerk", Role(), "role_invalid"),
        ("../x", Role(), "role_invalid"),
        ("", Role(), "role_invalid"),
        ("clerk", Role(frozenset({"nothing"})), "role_invalid"),
        ("clerk", Role(commands={"nothing": Grant()}), "role_invalid"),
        ("clerk", Role(commands={"wager.settle": Grant(flagged=True)}), "role_invalid"),
        ("clerk", Role(frozenset({"kpi"}), masks={"nothing": frozenset({"name"})}), "role_invalid"),
    ],
)
def test_what_is_no_role(world: World, name: str, role: Role, code: str) -> None:
    """A mistake is named rather than kept, and nobody can lock everybody out."""
    assert world.refused(name, role) == code


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("clerk", Role(None)),
        ("clerk", Role(frozenset({"kpi", "wagers"}))),
        ("clerk", Role(publish=True)),
        ("clerk", Role(commands={"wager.settle": Grant()})),
        ("clerk", Role(commands={"wager.settle": Grant(alone_max_minor=1_001)})),
        ("clerk", Role(commands={"wager.place": Grant()})),
        ("risk", Role()),  # has a topic that the chief has not
    ],
)
def test_nobody_gives_more_than_they_have(world: World, name: str, role: Role) -> None:
    """An administrator with few rights makes nobody, nor themselves, mightier, and touches no mightier role."""
    assert world.refused(name, role, "chief") == "forbidden"


def test_what_an_administrator_can_give(world: World) -> None:
    """The own rights, and less."""
    world.put("clerk", CHIEF, "chief")
    world.put("clerk", Role(frozenset({"kpi"}), commands={"wager.settle": Grant(alone_max_minor=10)}), "chief")
    assert world.told == ["clerk", "clerk"]


@pytest.mark.parametrize(("by", "scope"), [("risk", "/"), ("agent", "/"), ("nobody", "/"), ("admin", "/M1")])
def test_who_administers(world: World, by: str, scope: str) -> None:
    """Roles are the whole book's, and its administrators' alone."""
    assert world.refused("clerk", Role(), by, scope) == "forbidden"


def test_a_field_that_no_message_has(world: World) -> None:
    """A slip in a mask is named with what was meant: nobody believes that something is hidden which is not."""
    for fields in ({"balanc3"}, {"name", "balanc3"}):
        role = Role(frozenset({"kpi"}), masks={"kpi": frozenset(fields)})
        with pytest.raises(RequestError, match="kpi has no field balanc3; balance is one"):
            world.put("clerk", role)
        assert world.refused("clerk", role) == "role_invalid"
    world.put("clerk", Role(frozenset({"kpi"}), masks={"kpi": frozenset({"balance"}), "news": frozenset({"anything"})}))
    assert world.told == ["clerk"]


def test_a_mask_cannot_be_taken_off(world: World) -> None:
    """Who does not see a field gives nobody the sight of it."""
    own = Role(None, masks={"kpi": frozenset({"name"})})
    assert excess(own, Role(frozenset({"kpi"}))) == "fields of kpi"
    assert excess(own, Role(frozenset({"wagers"}))) == ""
    assert excess(own, Role(frozenset({"kpi"}), masks={"kpi": frozenset({"name", "other"})})) == ""


@pytest.mark.parametrize(
    "text",
    ['{"topics": ["kpi"], "more": 1}', '{"kind": "god"}', '{"commands": {"wager.settle": {"aloneMaxMinor": -1}}}'],
)
def test_a_role_is_read_strictly(text: str) -> None:
    """A field that is misspelt is not taken for one that is left out."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Role)


def test_a_table_of_an_earlier_version(world: World) -> None:
    """A role that names a topic that is gone is loaded all the same: it sees what there is of it."""
    gone: Any = Role(frozenset({"kpi", "gone"}))
    world.put("clerk", Role())
    key = "role/clerk"
    row = world.store.rows[key]
    world.store.rows[key] = msgspec.structs.replace(row, value=msgspec.json.encode(gone))
    world.start()
    assert world.permissions.get("clerk") == gone
    world.store.rows[key] = msgspec.structs.replace(row, value=b'{"later": 1}')
    with pytest.raises(SetupError, match="role/clerk"):
        world.start()
