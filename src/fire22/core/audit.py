"""What the audit trail says of an action: who did what, from where, to what, and what came of it.

An entry is the `data` of an event `system.audited` in the log, so it follows replay, backup and resume as every other
event does. Its time is the event's.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fire22.core.event import Event
from fire22.core.scope import ROOT

TOPIC: Final = "audit"
AUDITED: Final = "system.audited"
HEAD: Final = "system.audit_head"
OK: Final = "ok"

Count = Annotated[int, Meta(gt=0)]


class Audited(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One entry of the audit trail. What is empty is unknown, or does not apply.

    Args:
        action: dotted, lower case: `session.opened`, `command.wager.void`.
        outcome: `ok`, or the code of the error that the actor was answered with.
        user: who acted, with the kind of user: `staff:anna`, `agent:M1`.
        role: by which.
        scope: of the actor; who follows the topic sees the entries of an own sub-tree.
        session: the id of the session by which the actor was known.
        jti: the id of the token, in place of a session.
        client: the device or installation that the token names; of a command of the program, the system's account.
        address: the network address that the request came from.
        target: what was acted on: a command's subject, a user, a topic, a file.
        before: what was changed, as it was; JSON without secrets.
        after: as it is now, or what was asked for.
        count: how many times within one second, where identical ones are one entry.
    """

    action: str
    outcome: str = OK
    user: str = ""
    role: str = ""
    scope: str = ROOT
    session: str = ""
    jti: str = ""
    client: str = ""
    address: str = ""
    target: str = ""
    before: Raw | UnsetType = UNSET
    after: Raw | UnsetType = UNSET
    count: Count = 1


class Head(Struct, frozen=True):
    """All entries so far in one hash, with a signature; the `data` of `system.audit_head`.

    Args:
        size: how many entries there are.
        root: of their Merkle tree (RFC 9162); hexadecimal, as are all hashes here.
        chain: of the last entry.
        key: the public key, Ed25519.
        signature: of `head_bytes`.
    """

    size: Annotated[int, Meta(ge=0)]
    root: str
    chain: str
    key: str
    signature: str = ""


_decode: Final = msgspec.json.Decoder(Audited).decode


def decode_audited(data: bytes | Raw) -> Audited:
    """Read an entry from the log.

    Raises:
        msgspec.MsgspecError: it is none; names the field.
    """
    return _decode(data)


def entry_bytes(event: Event) -> bytes:
    """What is hashed of an entry: the id and the time of its event, and its data as they are in the log."""
    return b"%b\n%d\n%b" % (event.id.encode(), event.at_ms, bytes(event.data))


def head_bytes(head: Head) -> bytes:
    """What is signed of a head."""
    return f"fire22 audit head 1\n{head.size}\n{head.root}\n{head.chain}\n".encode()
