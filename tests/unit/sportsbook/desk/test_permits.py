"""Who may do what at the desk, by the table of roles."""

from typing import Final

import pytest

from fire22.core.errors import RequestError
from fire22.core.role import Grant
from fire22.sportsbook.desk.commands import COMMANDS, FREE_PLAY
from fire22.sportsbook.desk.permits import FLAGS, Flag, permit
from fire22.sportsbook.roles import roles
from tests.support.shop import ACCESS, Who

# "yes", "flag" (only with the command's flag in the token's `may`), "own" (within the own agent's limits), "flag own".
_SETTLE = {"admin": "yes", "service": "yes", "risk": "yes"}
_PAY = {"admin": "yes", "service": "yes", "cashier": "yes", "master": "flag"}
_LIMIT = {"admin": "yes", "service": "yes", "risk": "yes", "master": "own", "agent": "flag own"}
_ALERT = {"admin": "yes", "service": "yes", "risk": "yes", "master": "yes", "agent": "yes"}
_APPROVE = {"admin": "yes", "risk": "yes"}
TABLE: Final[dict[str, dict[str, str]]] = {
    "wager.place": {"admin": "yes", "service": "yes", "master": "flag", "agent": "flag", "customer": "yes"},
    FREE_PLAY: {"admin": "yes", "service": "yes"},
    **dict.fromkeys(("wager.accept", "wager.reject", "wager.settle", "wager.cash_out", "wager.void"), _SETTLE),
    **dict.fromkeys(("wager.cancel", "wager.modify", "market.settle", "market.status"), _SETTLE),
    "wager.reopen": {"admin": "yes", "service": "yes"},
    **dict.fromkeys(("customer.limit", "customer.status"), _LIMIT),
    "payment.request": {"admin": "yes", "service": "yes", "cashier": "yes", "customer": "yes"},
    **{f"payment.{step}": _PAY for step in ("approve", "complete", "reject", "fail", "charge_back")},
    "balance.adjust": {"admin": "yes", "service": "yes", "cashier": "yes"},
    **dict.fromkeys(("alert.acknowledge", "alert.close"), _ALERT),
    **dict.fromkeys(("approval.approve", "approval.reject"), _APPROVE),
}


def flag_of(name: str) -> Flag | None:
    """What a token can list for a command."""
    return COMMANDS[name].flag if name in COMMANDS else None


def allowed(role: str, name: str, *may: str) -> Grant | None:
    """What a role is granted, or None."""
    try:
        return permit(Who("somebody", role, may=may), ACCESS.grants, name, flag_of(name))
    except RequestError as error:
        assert error.code.name == "forbidden"
        return None


def test_the_table_names_every_command() -> None:
    """No command is there that this table says nothing of."""
    assert TABLE.keys() == {*COMMANDS, FREE_PLAY}
    assert {name for role in roles(()).values() for name in role.commands} == TABLE.keys()


@pytest.mark.parametrize("name", list(TABLE))
@pytest.mark.parametrize("role", [*roles(()), "stranger"])
def test_each_role_may_what_the_table_says(role: str, name: str) -> None:
    """An operator can trust the table: nobody may more, whatever flags a token lists for other things."""
    entry = TABLE[name].get(role, "no").split()
    others = tuple(flag for flag in (*FLAGS, "admin") if flag != flag_of(name))
    found = allowed(role, name, *FLAGS)
    assert (found is None) == (entry == ["no"])
    if found is not None:
        assert (found.flagged, found.within_own) == ("flag" in entry, "own" in entry)
        assert found.alone_max_minor is None
        assert found.approve == (role in ("admin", "risk") and not name.startswith("approval."))
    assert allowed(role, name, *others) == (None if found is None or found.flagged else found)


def test_every_flag_is_one_that_something_asks_for() -> None:
    """`fire22 token --may` offers exactly what makes a difference."""
    flagged = {name for name, row in TABLE.items() if any("flag" in entry for entry in row.values())}
    assert {flag_of(name) for name in flagged} == set(FLAGS)
