"""Who may do what at the desk, against the table of roles."""

import pytest
from msgspec import Struct

from fire22.core.errors import RequestError
from fire22.sportsbook.desk.permits import FLAGS, GRANTS, Action, Grant, permit
from fire22.sportsbook.roles import roles

# "yes", "flag" (only with the action in the token's `may`), "own" (within the own agent's limits), "flag own", "no".
TABLE: dict[Action, dict[str, str]] = {
    "place": {"admin": "yes", "service": "yes", "master": "flag", "agent": "flag", "customer": "yes"},
    "free_play": {"admin": "yes", "service": "yes"},
    "settle": {"admin": "yes", "service": "yes", "risk": "yes"},
    "roll_back": {"admin": "yes", "service": "yes"},
    "limits": {"admin": "yes", "service": "yes", "risk": "yes", "master": "own", "agent": "flag own"},
    "request": {"admin": "yes", "service": "yes", "cashier": "yes", "customer": "yes"},
    "payments": {"admin": "yes", "service": "yes", "cashier": "yes", "master": "flag"},
    "adjust": {"admin": "yes", "service": "yes", "cashier": "yes"},
    "markets": {"admin": "yes", "service": "yes", "risk": "yes"},
    "alerts": {"admin": "yes", "service": "yes", "risk": "yes", "master": "yes", "agent": "yes"},
}


class Who(Struct, frozen=True):
    """Somebody who asks."""

    role: str
    may: tuple[str, ...] = ()
    subject: str = "somebody"
    scope: str = "/"


def allowed(role: str, action: Action, *may: str) -> Grant | None:
    """What a role is granted, or None."""
    try:
        return permit(Who(role, may), action)
    except RequestError as error:
        assert error.code.name == "forbidden"
        return None


@pytest.mark.parametrize("action", list(GRANTS))
@pytest.mark.parametrize("role", [*roles(()), "stranger"])
def test_each_role_may_what_the_table_says(role: str, action: Action) -> None:
    """An operator can trust the table: nobody may more, whatever flags a token lists for other things."""
    entry = TABLE[action].get(role, "no").split()
    others = tuple(flag for flag in (*GRANTS, "admin") if flag != action)
    expected = None if entry == ["no"] else Grant(flagged="flag" in entry, within_own="own" in entry)
    assert allowed(role, action, action) == expected
    without = None if expected is None or expected.flagged else expected
    assert allowed(role, action, *others) == without


def test_every_flag_is_one_that_something_asks_for() -> None:
    """`fire22 token --may` offers exactly what makes a difference."""
    assert {action for action, row in TABLE.items() if any("flag" in entry for entry in row.values())} == set(FLAGS)
