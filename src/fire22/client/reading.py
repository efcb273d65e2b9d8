"""What a frame from the server says: its messages, also where some hold what cannot be read here."""

import msgspec

from fire22.core.message import Message, decode_json
from fire22.core.sayable import left_out, salvage, sayable_part


def read_frame(frame: str | bytes) -> list[Message]:
    """The messages of a frame; an error in the place of each that holds what cannot be read.

    Raises:
        msgspec.DecodeError: the frame is not JSON, or holds something else than messages.
    """
    try:
        return decode_json(frame)
    except msgspec.DecodeError as error:
        try:
            said = salvage(frame)
        except ValueError:
            raise error from None
    found: list[Message] = []
    for each in said if isinstance(said, list) else [said]:
        rest, lost = sayable_part(each)
        if rest is not None:
            found.append(msgspec.convert(rest, Message))
        found += map(left_out, lost)
    return found
