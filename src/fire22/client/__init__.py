"""The Python client: needs msgspec and websockets, and nothing else."""

from fire22.client.client import Client, ClientState, connect
from fire22.client.errors import ConnectionEnded, ServerError
from fire22.client.inbox import Covered, Lost, Snapshot
from fire22.client.subscription import Subscription
from fire22.core.event import Event, Metadata
from fire22.core.message import Message

__all__ = [
    "Client",
    "ClientState",
    "ConnectionEnded",
    "Covered",
    "Event",
    "Lost",
    "Message",
    "Metadata",
    "ServerError",
    "Snapshot",
    "Subscription",
    "connect",
]
