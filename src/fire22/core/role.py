"""Roles: what a domain lets the holders of a token do."""

from typing import Literal

from msgspec import Struct

# What a user is. Two users of different kinds may have the same name: an agent `M1` is not the customer `M1`.
Kind = Literal["staff", "agent", "customer", "machine"]


class Role(Struct, frozen=True):
    """A role.

    Args:
        topics: that it may follow; None is all.
        publish: whether it may append events.
        address: whether events that it appends may be for single users, clients or everyone.
        operate: whether it may deal with dead letters: fold them again, or put them away.
        kind: what the users are that hold it.
    """

    topics: frozenset[str] | None
    publish: bool = False
    address: bool = False
    operate: bool = False
    kind: Kind = "staff"
