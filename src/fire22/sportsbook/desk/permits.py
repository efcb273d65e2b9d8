"""Who may do what at the desk: what the actor's role grants, as the table of roles has it at this moment.

A role grants a command, for some roles only to users that carry the command's flag. What a user may act on is what the
own scope covers, whatever the role: the whole book, the own sub-tree, or the customer itself.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.role import Grant, Kind
from fire22.core.scope import ROOT

Flag = Literal["place", "limits", "payments"]
FLAGS: Final[tuple[Flag, ...]] = ("place", "limits", "payments")  # what a token's `may` can list
Grants = Callable[[str], Mapping[str, Grant]]  # what a role may give: commands by their names


class People(Protocol):
    """What is known of users (`staff:ann`); asked in the desk's own thread."""

    def stands(self, user: str, since_ms: int) -> bool:
        """Whether a user has kept all rights since a time."""

    def may_be_one(self, one: str, other: str, since_ms: int) -> bool:
        """Whether one person may sign in as both: since a time one has made the other, or reset how it signs in."""


class Actor(Protocol):
    """Who asks, as a token says it."""

    @property
    def subject(self) -> str:
        """The user's id."""

    @property
    def kind(self) -> Kind:
        """What the user is."""

    @property
    def user(self) -> str:
        """The user among all, such as `agent:M1`."""

    @property
    def role(self) -> str:
        """One of the book's roles."""

    @property
    def scope(self) -> str:
        """What of the tree is the actor's own."""

    @property
    def may(self) -> tuple[str, ...]:
        """What is granted to this user beyond the role."""


def check_whole(actor: Actor, name: str) -> None:
    """Whether an actor acts on the whole book, as a command does that touches every customer's wagers.

    Raises:
        RequestError: `scope_forbidden`.
    """
    if actor.scope != ROOT:
        message = f"{name} acts on the whole book; {actor.scope} is a part of it."
        raise RequestError(codes.SCOPE_FORBIDDEN, message)


def find(actor: Actor, grants: Grants, name: str, flag: Flag | None) -> Grant | None:
    """What an actor's role grants of a command, or None."""
    grant = grants(actor.role).get(name)
    return None if grant is None or (grant.flagged and flag not in actor.may) else grant


def permit(actor: Actor, grants: Grants, name: str, flag: Flag | None) -> Grant:
    """What an actor's role grants of a command.

    Args:
        flag: the command's, if it has one.

    Raises:
        RequestError: `forbidden`.
    """
    grant = grants(actor.role).get(name)
    if grant is None:
        raise RequestError(codes.FORBIDDEN, f"The role {actor.role[:64]} may not do this.")
    if grant.flagged and flag not in actor.may:
        message = f"This user of the role {actor.role} may not do this: `may` lacks {flag}."
        raise RequestError(codes.FORBIDDEN, message)
    return grant
