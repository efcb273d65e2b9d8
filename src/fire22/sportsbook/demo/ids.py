"""Names of rows."""

from random import Random


def new_id(rng: Random, at_ms: int) -> str:
    """A UUID of version 7: in order of time, so that tables and indexes grow at their end."""
    bits = rng.getrandbits(74)
    value = at_ms << 80 | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
