"""What was said earlier, asked for page by page."""

import msgspec
from msgspec import Struct

from fire22.client.errors import ServerError
from fire22.core import codes
from fire22.core.message import Json, Message


class History(Struct, frozen=True):
    """A page of a stream's past.

    Args:
        messages: oldest first.
        before: the offset to give as `before` for the next older page; None where nothing older is kept.
    """

    messages: tuple[Message, ...]
    before: int | None = None


def to_history(data: Json) -> History:
    """Read the data of a reply.

    Raises:
        ServerError: `protocol_error`: it is no page.
    """
    try:
        return msgspec.convert(data, History)
    except msgspec.ValidationError as error:
        raise ServerError(codes.PROTOCOL_ERROR.name, f"The reply is not a page of history: {error}.") from None
