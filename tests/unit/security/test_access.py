"""Access: what a principal is served, decided from its role, its scope and its token's topics."""

import pytest

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.role import Role
from fire22.core.topic import Kind, Topic
from fire22.security.access import Access
from fire22.security.principal import Principal
from fire22.sportsbook.roles import roles

KPI, WAGERS, BENCH = Topic("kpi", Kind.VIEW), Topic("wagers", Kind.STREAM), Topic("bench", Kind.STREAM)
ACCESS = Access(
    {
        "admin": Role(None, publish=True, address=True),
        "feeder": Role(None, publish=True),
        "agent": Role(frozenset({"kpi", "wagers"})),
    }
)


def principal(role: str = "agent", scope: str = "/M1", topics: tuple[str, ...] | None = None) -> Principal:
    """Who asks."""
    return Principal("u1", role, scope, 0, topics)


@pytest.mark.parametrize(
    ("own", "wanted", "served"),
    [
        ("/M1", None, "/M1"),
        ("/M1", "/M1", "/M1"),
        ("/M1", "/M1/A7", "/M1/A7"),
        ("/M1", "/M1/A7/@C1", "/M1/A7/@C1"),
        ("/", "/M2", "/M2"),
        ("/M1/@C1", None, "/M1/@C1"),
    ],
)
def test_scope(own: str, wanted: str | None, served: str) -> None:
    """Everybody is served its own sub-tree, or the part of it that was asked for."""
    assert ACCESS.scope(principal(scope=own), KPI, wanted) == served


@pytest.mark.parametrize(
    ("own", "wanted", "code"),
    [
        ("/M1", "/", "scope_forbidden"),
        ("/M1", "/M2", "scope_forbidden"),
        ("/M1", "/M10", "scope_forbidden"),
        ("/M1/@C1", "/M1", "scope_forbidden"),
        ("/M1/@C1", "/M1/@C12", "scope_forbidden"),
        ("/M1", "/M1/./../M2/", "scope_invalid"),
        ("/M1", "M1", "scope_invalid"),
        ("/M1", "", "scope_invalid"),
    ],
)
def test_scope_outside(own: str, wanted: str, code: str) -> None:
    """What lies outside is refused, and the answer does not tell whether it exists."""
    with pytest.raises(RequestError) as caught:
        ACCESS.scope(principal(scope=own), KPI, wanted)
    assert caught.value.code.name == code


@pytest.mark.parametrize("scope", ["/M1/../M2", "/M1/.", "/.."])
def test_dots_are_no_names(scope: str) -> None:
    """`..` names nobody in the tree, so it is no part of a scope."""
    with pytest.raises(RequestError) as caught:
        ACCESS.scope(principal(), KPI, scope)
    assert caught.value.code.name == "scope_invalid"


@pytest.mark.parametrize(
    ("role", "topics", "topic", "allowed"),
    [
        ("agent", None, WAGERS, True),
        ("agent", None, BENCH, False),
        ("agent", ("wagers",), WAGERS, True),
        ("agent", ("wagers",), KPI, False),
        ("agent", ("bench",), BENCH, False),
        ("agent", (), KPI, False),
        ("admin", None, BENCH, True),
        ("admin", ("kpi",), BENCH, False),
    ],
)
def test_topics(role: str, topics: tuple[str, ...] | None, topic: Topic, allowed: bool) -> None:
    """A topic is served when both the role and the token allow it."""
    asking = principal(role, topics=topics)
    if allowed:
        assert ACCESS.scope(asking, topic, None) == "/M1"
    else:
        with pytest.raises(RequestError, match="topic_forbidden"):
            ACCESS.scope(asking, topic, None)


def test_publish() -> None:
    """Only a role that may publish appends events."""
    ACCESS.check_publish(principal("admin"))
    with pytest.raises(RequestError, match="forbidden"):
        ACCESS.check_publish(principal("agent"))


def test_address() -> None:
    """To write to single people takes a right of its own, beside that to publish; who lacks it is told so."""
    ACCESS.check_address(principal("admin"))
    for role in ("feeder", "agent"):
        with pytest.raises(RequestError) as caught:
            ACCESS.check_address(principal(role))
        assert caught.value.code.name == "forbidden"
        assert caught.value.message == f"The role {role} may not address single users, clients or everyone."


def test_unknown_role() -> None:
    """A token with a role that this server does not have sees nothing."""
    for ask in (
        lambda: ACCESS.scope(principal("owner"), KPI, None),
        lambda: ACCESS.check_publish(principal("owner")),
        lambda: ACCESS.check_address(principal("owner")),
    ):
        with pytest.raises(RequestError, match="There is no role owner") as caught:
            ask()
        assert caught.value.code.name == "forbidden"


def test_roles_of_the_book() -> None:
    """The book's roles: only the administrator and programs publish or address people; a cashier sees no figures."""
    access = Access(roles(("bench",)))
    for role in access.roles:
        asking = principal(role)
        if role in ("admin", "service"):
            access.check_publish(asking)
            access.check_address(asking)
        else:
            with pytest.raises(RequestError):
                access.check_publish(asking)
            with pytest.raises(RequestError):
                access.check_address(asking)
        assert access.scope(asking, BENCH, None) == "/M1"
    with pytest.raises(RequestError, match="topic_forbidden"):
        access.scope(principal("cashier"), KPI, None)
    for name in ("payments", "payment_queue", "balances", "ledger"):
        for role in access.roles:
            assert access.scope(principal(role), Topic(name, Kind.STREAM), None) == "/M1"


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        *[(name, "staff") for name in ("admin", "risk", "auditor", "cashier", "unheard_of")],
        *[("master", "agent"), ("agent", "agent"), ("customer", "customer"), ("service", "machine")],
    ],
)
def test_kind_of_user(role: str, kind: str) -> None:
    """A role says what its users are, so that the customer M1 is not taken for the agent M1."""
    assert Access(roles(())).kind(role) == kind


def test_a_token_of_few_topics_gives_no_others() -> None:
    """Who was given a token for some topics cannot make one, or a user, that sees all of them."""
    access = Access({"admin": Role(None, administer=True), "viewer": Role(frozenset({"kpi"}), administer=True)})
    few = Principal("ann", "admin", "/", 0, topics=("kpi",))
    access.check_gives(few, "viewer", "/")
    with pytest.raises(RequestError, match="may more") as refused:
        access.check_gives(few, "admin", "/")
    assert refused.value.code is codes.FORBIDDEN
    assert access.gives(few) == {"viewer": "staff"}
