"""The Python client: needs msgspec and websockets, and nothing else."""

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
