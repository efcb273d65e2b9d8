"""Whether a peer is still there: what the kernel said of real connections, and what follows from it."""

import pytest

from fire22.gateways.liveness import INFO_BYTES, is_gone

# Recorded on loopback: a peer that acknowledges everything; one that was just sent something; one that has discarded
# every packet for 30 s; one whose window has been zero for 30 s.
LIVE = (
    "010000000007aa01e01c0300000000000080000018020000000000000000"
    "000000000000000000000000000000000000000000000400000000000000"
)
SENT = (
    "010000000007aa01e01c0300000000000080000018020000010000000000"
    "000000000000000000000000000000000000000000000400000000000000"
)
GONE = (
    "010407000707aa0100708e01000000000080000018020000010000000000"
    "0000010000000100000000000000f00c0000000000003475000030750000"
)
STALLED = (
    "010000000707a001802c0300000000000008000018020000000000000000"
    "0000000000000000000000000000347500000000000034750000f00a0000"
)
UNACKNOWLEDGED = slice(24, 28)
LAST_ACKNOWLEDGED = slice(56, 60)


@pytest.mark.parametrize(
    ("info", "silence_ms", "gone"),
    [
        (LIVE, 1, False),
        (SENT, 1, False),
        (GONE, 30_000, True),
        (GONE, 30_001, False),
        (STALLED, 1, False),
    ],
)
def test_recorded(info: str, silence_ms: float, gone: bool) -> None:
    """A peer that leaves unacknowledged what it was sent repeatedly is gone; one that only does not read is not."""
    assert is_gone(bytes.fromhex(info), silence_ms) is gone


def test_everything_acknowledged() -> None:
    """A peer that owes nothing is not gone, however long it has had nothing to acknowledge."""
    info = bytearray.fromhex(GONE)
    info[UNACKNOWLEDGED] = bytes(4)
    assert not is_gone(bytes(info), 1)


def test_sent_after_a_long_silence() -> None:
    """A peer that had nothing to acknowledge for long gets the time to acknowledge what it was sent a moment ago."""
    info = bytearray.fromhex(SENT)
    info[LAST_ACKNOWLEDGED] = (60_000).to_bytes(4, "little")
    assert not is_gone(bytes(info), 50_000)


def test_a_longer_structure() -> None:
    """What a kernel tells beyond the fields that are needed changes nothing."""
    assert len(bytes.fromhex(GONE)) == INFO_BYTES
    assert is_gone(bytes.fromhex(GONE) + bytes(200), 30_000)
