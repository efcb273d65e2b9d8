"""What a client's connection is doing, as the application sees it."""

from enum import StrEnum


class ClientState(StrEnum):
    """CONNECTING: an attempt is under way. CATCHING_UP: connected, and not everything has come yet. LIVE: it has.
    RECONNECTING: waiting before the next attempt. CLOSED: for good."""

    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    LIVE = "live"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"
