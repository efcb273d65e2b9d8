"""Roles: what a domain lets the holders of a token do."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

# What a user is. Two users of different kinds may have the same name: an agent `M1` is not the customer `M1`.
Kind = Literal["staff", "agent", "customer", "machine"]


class Grant(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What a role may do by one command.

    Args:
        flagged: only users may who carry the command's flag beyond the role, as `may` of a token.
        within_own: no customer gets more than the limits of the actor's own agent, or back what the house took.
        alone_max_minor: an amount above needs the approval of another person; minor units. None: no amount does.
        alone_day_minor: so does what makes the sum of one person's amounts of 24 hours larger than this. None: than
            `alone_max_minor`.
        approve: whether what another person asked for by this command may be approved or rejected.
    """

    flagged: bool = False
    within_own: bool = False
    alone_max_minor: Annotated[int, Meta(ge=0, le=10**16)] | None = None
    alone_day_minor: Annotated[int, Meta(ge=0, le=10**16)] | None = None
    approve: bool = False

    @property
    def day_minor(self) -> int | None:
        """The most that a person may do alone in 24 hours, all amounts together; minor units, None is any."""
        return self.alone_max_minor if self.alone_day_minor is None else self.alone_day_minor


class Role(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A role.

    Args:
        topics: that it may follow; None is all.
        publish: whether it may append events.
        address: whether events that it appends may be for single users, clients or everyone.
        operate: whether it may deal with dead letters: fold them again, or put them away.
        kind: what the users are that hold it.
        administer: whether it may see and change roles.
        commands: by name, those that it may give.
        masks: by topic, the fields of its messages and documents that it does not see.
    """

    topics: frozenset[str] | None = frozenset()
    publish: bool = False
    address: bool = False
    operate: bool = False
    kind: Kind = "staff"
    administer: bool = False
    commands: Mapping[str, Grant] = {}
    masks: Mapping[str, frozenset[str]] = {}


def excess(own: Role, wanted: Role) -> str:
    """What a role has that another one has not; empty where it has nothing more.

    Args:
        own: of who gives.
        wanted: what is given.
    """
    if own.topics is not None and (wanted.topics is None or wanted.topics - own.topics):
        return "topics"
    for right in ("publish", "address", "operate", "administer"):
        if getattr(wanted, right) and not getattr(own, right):
            return right
    for topic, fields in own.masks.items():
        seen = wanted.topics is None or topic in wanted.topics
        if seen and fields - wanted.masks.get(topic, frozenset()):
            return f"fields of {topic}"
    return next((name for name, grant in wanted.commands.items() if _is_more(own.commands.get(name), grant)), "")


def _is_more(own: Grant | None, wanted: Grant) -> bool:
    if own is None:
        return True
    freed = (own.flagged and not wanted.flagged) or (own.within_own and not wanted.within_own)
    amounts = ((own.alone_max_minor, wanted.alone_max_minor), (own.day_minor, wanted.day_minor))
    above = any(mine is not None and (theirs is None or theirs > mine) for mine, theirs in amounts)
    return freed or above or (wanted.approve and not own.approve)
