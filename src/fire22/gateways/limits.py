"""What one sender may cost."""

from msgspec import Struct

from fire22.gateways.rates import LimitsConfig


class Limits(Struct, frozen=True):
    """What one sender may cost."""

    connections_max: int
    connections_user_max: int
    connections_address_max: int
    subscriptions_max: int
    message_bytes_max: int
    compression: bool
    events_bytes_max: int
    outbox_bytes_max: int
    outboxes_bytes_max: int
    auth_timeout_s: float
    heartbeat_s: float
    stall_s: float
    rates: LimitsConfig = LimitsConfig()
