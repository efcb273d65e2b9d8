"""Roles: what a domain lets the holders of a token do."""

from msgspec import Struct


class Role(Struct, frozen=True):
    """A role.

    Args:
        topics: that it may follow; None is all.
        publish: whether it may append events.
        address: whether events that it appends may be for single users, clients or everyone.
        operate: whether it may deal with dead letters: fold them again, or put them away.
    """

    topics: frozenset[str] | None
    publish: bool = False
    address: bool = False
    operate: bool = False
