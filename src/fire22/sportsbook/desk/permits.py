"""Who may do what at the desk. Source: domain rules, section 8.

A role grants an action, for some roles only to users that carry the action's flag. What a user may act on is what the
own scope covers, whatever the role: the whole book, the own sub-tree, or the customer itself.
"""

from typing import Final, Literal, Protocol

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.scope import ROOT

Action = Literal[
    "place", "free_play", "settle", "roll_back", "limits", "request", "payments", "adjust", "markets", "alerts"
]
FLAGS: Final = ("place", "limits", "payments")  # what a token's `may` can list


class Actor(Protocol):
    """Who asks, as a token says it."""

    @property
    def subject(self) -> str:
        """The user's id."""

    @property
    def role(self) -> str:
        """One of the book's roles."""

    @property
    def scope(self) -> str:
        """What of the tree is the actor's own."""

    @property
    def may(self) -> tuple[str, ...]:
        """What is granted to this user beyond the role."""


class Grant(Struct, frozen=True):
    """What a role allows.

    Args:
        flagged: only to users whose token lists the action.
        within_own: no customer gets more than the limits of the actor's own agent, or back what the house took.
    """

    flagged: bool = False
    within_own: bool = False


_ALWAYS: Final = Grant()
_FLAGGED: Final = Grant(flagged=True)
_HOUSE: Final[dict[str, Grant]] = {"admin": _ALWAYS, "service": _ALWAYS}
_RISK: Final = _HOUSE | {"risk": _ALWAYS}

GRANTS: Final[dict[Action, dict[str, Grant]]] = {
    "place": _HOUSE | {"master": _FLAGGED, "agent": _FLAGGED, "customer": _ALWAYS},
    "free_play": _HOUSE,
    "settle": _RISK,
    "roll_back": _HOUSE,
    "limits": _RISK | {"master": Grant(within_own=True), "agent": Grant(flagged=True, within_own=True)},
    "request": _HOUSE | {"cashier": _ALWAYS, "customer": _ALWAYS},
    "payments": _HOUSE | {"cashier": _ALWAYS, "master": _FLAGGED},
    "adjust": _HOUSE | {"cashier": _ALWAYS},
    "markets": _RISK,
    "alerts": _RISK | {"master": _ALWAYS, "agent": _ALWAYS},
}


def is_permitted(actor: Actor, action: Action) -> bool:
    """Whether an actor's role allows an action."""
    grant = GRANTS[action].get(actor.role)
    return grant is not None and (not grant.flagged or action in actor.may)


def check_whole(actor: Actor, name: str) -> None:
    """Whether an actor acts on the whole book, as a command does that touches every customer's wagers.

    Raises:
        RequestError: `scope_forbidden`.
    """
    if actor.scope != ROOT:
        message = f"{name} acts on the whole book; {actor.scope} is a part of it."
        raise RequestError(codes.SCOPE_FORBIDDEN, message)


def permit(actor: Actor, action: Action) -> Grant:
    """What an actor's role allows.

    Raises:
        RequestError: `forbidden`.
    """
    grant = GRANTS[action].get(actor.role)
    if grant is None:
        raise RequestError(codes.FORBIDDEN, f"The role {actor.role[:64]} may not do this.")
    if grant.flagged and action not in actor.may:
        message = f"This user of the role {actor.role} may not do this: `may` lacks {action}."
        raise RequestError(codes.FORBIDDEN, message)
    return grant
