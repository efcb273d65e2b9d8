"""What the audit trail says of an action: who did what, from where, to what, and what came of it.

An entry is the `data` of an event `system.audited` in the log, so it follows replay, backup and resume as every other
event does. Its time is the event's.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fire22.core.scope import ROOT

AUDITED: Final = "system.audited"
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
        client: the device or installation that the token names.
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


_decode: Final = msgspec.json.Decoder(Audited).decode


def decode_audited(data: bytes | Raw) -> Audited:
    """Read an entry from the log.

    Raises:
        msgspec.MsgspecError: it is none; names the field.
    """
    return _decode(data)
