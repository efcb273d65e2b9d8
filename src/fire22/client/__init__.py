"""The Python client: needs msgspec and websockets, and nothing else.

In reading order: `client.py` (one connection that comes back by itself), `subscription.py`, `direct.py` and
`history.py` (what an application holds of it), `state.py` (what the connection is doing), `errors.py`; inside:
`connection.py` (one WebSocket after the other), `reading.py` (a frame's messages), `inbox.py` (what was not taken yet),
`answers.py` (commands that wait), `clock.py`. By itself: `sealed.py` (messages that the server cannot read).
"""

from fire22.client.client import Client, connect
from fire22.client.direct import Direct
from fire22.client.errors import ConnectionEnded, ServerError
from fire22.client.history import History
from fire22.client.inbox import Covered, Lost, Skipped, Snapshot
from fire22.client.state import ClientState
from fire22.client.subscription import Subscription
from fire22.core.event import Event, Metadata
from fire22.core.message import Message

__all__ = [
    "Client",
    "ClientState",
    "ConnectionEnded",
    "Covered",
    "Direct",
    "Event",
    "History",
    "Lost",
    "Message",
    "Metadata",
    "ServerError",
    "Skipped",
    "Snapshot",
    "Subscription",
    "connect",
]
