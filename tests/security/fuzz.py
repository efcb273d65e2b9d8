"""Broken input for every decoder that a stranger's bytes can reach: `python -m tests.security.fuzz --seconds 600`.

Each decoder gets inputs that were once good and then damaged: bits flipped, parts cut, repeated, exchanged, and pieces
put in that break parsers elsewhere. It must give an answer or the error that it promises, within a time that the
input's size allows, and the memory of the process must not grow. A finding is printed with the seed that makes it
again, and ends the run with 1.
"""

import argparse
import gc
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from msgspec import Raw, Struct

from fire22.core.command import parse_binary_command, parse_command
from fire22.core.deflate import InflateError, deflate, inflate, negotiate
from fire22.core.errors import Fire22Error
from fire22.core.event import decode_event, encode_event, parse_events
from fire22.core.filter import parse_filter
from fire22.core.frames import FrameError, FrameParser, Opcode, frame_head, masked
from fire22.core.position import Position
from fire22.core.scope import parse_scope
from fire22.core.strict import parse_toml
from fire22.gateways.sign_in import token_of
from fire22.security.tokens import Tokens
from fire22.sportsbook import domain
from tests.support.histories import History

BYTES_MAX: Final = 16_384
CPU_S_MAX: Final = 0.25  # of one input of at most BYTES_MAX, on a loaded machine
GROWTH_BYTES_MAX: Final = 32 << 20
_SPITE: Final = (
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"[" * 60,
    b'{"a":' * 60,
    b"9" * 400,
    b"1e999",
    b"-0.0",
    b"18446744073709551616",
    b"NaN",
    b"null",
    b"\xdd\xff\xff\xff\xff",
    b"\xc1",
    b"\x81\xfe\xff\xff",
    b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"../" * 8,
    b"%00",
    b"\r\n\r\n",
    b"=" * 40,
    b";" * 40,
    b".." * 20,
)


class Decoder(Struct, frozen=True):
    """What is attacked.

    Args:
        read: takes an input.
        expected: the errors that it promises.
        good: inputs that it takes.
    """

    read: Callable[[bytes], object]
    expected: tuple[type[Exception], ...]
    good: tuple[bytes, ...]


class Finding(Exception):
    """An input that broke a promise."""


def decoders() -> dict[str, Decoder]:
    """All of them, by name."""
    tokens = Tokens(b"k" * 32)
    token = tokens.sign(subject="M1", role="agent", scope="/M1", ttl_s=60, now_ms=0).encode()
    command = b'{"id":1,"command":"subscribe","target":"wagers","scope":"/M1","filter":{"amount":{"gte":5}},"last":20}'
    publish = (
        b'{"id":2,"command":"publish","event":{"id":"a","source":"app","type":"app.said",'
        b'"timestamp":"2026-03-01T00:00:00Z","data":{"x":[1,2.5,null,"y"]}}}'
    )
    events = [encode_event(each).body for each in History(1).take(60)]
    facts = [decode_event(body) for body in events]
    by_type = {each.type: each for each in facts}
    frame = frame_head(Opcode.TEXT, len(command))
    framed = masked(frame + command, b"mask")
    toml = (Path(__file__).parents[2] / "examples" / "fire22.toml").read_bytes()
    toml = toml[: toml.rindex(b"\n[", 0, BYTES_MAX) + 1]

    def fact(data: bytes) -> object:
        kind, _, rest = data.partition(b"\n")
        return domain.decode(kind.decode(errors="replace"), Raw(rest))

    def filter(data: bytes) -> object:
        return parse_filter(msgspec.json.decode(data, type=dict), ("amount", "status", "path"), "wagers")

    return {
        "command": Decoder(lambda data: parse_command(data), (Fire22Error,), (command, publish)),
        "binary command": Decoder(
            parse_binary_command,
            (Fire22Error,),
            tuple(msgspec.msgpack.encode(msgspec.json.decode(each)) for each in (command, publish)),
        ),
        "events": Decoder(parse_events, (Fire22Error,), (b"[" + b",".join(events[:3]) + b"]", *events[:8])),
        "fact": Decoder(
            fact,
            (msgspec.MsgspecError, UnicodeDecodeError, RecursionError),
            tuple(f"{type}\n".encode() + bytes(each.data) for type, each in by_type.items()),
        ),
        "filter": Decoder(
            filter,
            (Fire22Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError),
            (b'{"amount":{"gte":5,"lte":10}}', b'{"status":["open","won"],"path":"/M1"}'),
        ),
        "token": Decoder(lambda data: tokens.verify(data.decode("latin-1"), now_ms=0), (Fire22Error,), (token,)),
        "position": Decoder(
            lambda data: Position.parse(data.decode("latin-1")),
            (Fire22Error,),
            (str(Position("1f0c9a2b", 77)).encode(),),
        ),
        "scope": Decoder(lambda data: parse_scope(data.decode("latin-1")), (Fire22Error,), (b"/M1/A1/S1", b"/@C1")),
        "cookies": Decoder(
            lambda data: token_of({"cookie": data.decode("latin-1"), "host": "a"}, safe=True),
            (Fire22Error,),
            (b"a=b; fire22_sign_in=" + token, SimpleCookie({"x": "y z"}).output(header="").encode()),
        ),
        "frames": Decoder(lambda data: list(FrameParser(BYTES_MAX).receive(data)), (FrameError,), (framed, framed * 3)),
        "compressed": Decoder(lambda data: inflate(data, 1 << 20), (InflateError,), (deflate(command * 20),)),
        "extensions": Decoder(
            lambda data: negotiate(data.decode("latin-1")),
            (),
            (b"permessage-deflate; client_max_window_bits, permessage-deflate; server_no_context_takeover",),
        ),
        "toml": Decoder(parse_toml, (ValueError, tomllib.TOMLDecodeError), (toml,)),
    }


def damaged(good: tuple[bytes, ...], random: Random) -> bytes:
    """An input that was good once."""
    data = bytearray(random.choice(good))
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(data) + 1)
        what = random.randrange(6)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << random.randrange(8)
        elif what == 1:
            data[at:at] = random.choice(_SPITE)
        elif what == 2:
            del data[at : at + random.randrange(1, 40)]
        elif what == 3:
            data[at:at] = data[random.randrange(len(data) + 1) :][: random.randrange(1, 400)]
        elif what == 4:
            other = random.choice(good)
            data[at:] = other[random.randrange(len(other)) :]
        else:
            data[at:at] = random.randbytes(random.randrange(1, 12))
    return bytes(data[:BYTES_MAX])


def attack(name: str, decoder: Decoder, seed: int) -> None:
    """Give a decoder one input.

    Raises:
        Finding: it broke a promise.
    """
    data = damaged(decoder.good, Random(f"{name} {seed}"))
    began_s = time.process_time()
    try:
        decoder.read(data)
    except decoder.expected:
        pass
    except Exception as error:
        raise Finding(f"{name}, seed {seed}: {error!r} for {data[:300]!r}") from error
    took_s = time.process_time() - began_s
    if took_s > CPU_S_MAX:
        raise Finding(f"{name}, seed {seed}: {took_s:.2f} s for {len(data)} bytes: {data[:300]!r}")


def resident_bytes() -> int:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def rounds(start: int, seconds: float) -> Iterator[int]:
    """Seeds until the time is over."""
    ends_s = time.monotonic() + seconds
    seed = start
    while time.monotonic() < ends_s:
        yield seed
        seed += 1


def main() -> int:
    """Attack all decoders in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    all = decoders()
    inputs, warm_bytes = 0, 0
    warm_after = options.seed + 2_000
    for seed in rounds(options.seed, options.seconds):
        for name, decoder in all.items():
            try:
                attack(name, decoder, seed)
            except Finding as finding:
                print(finding, file=sys.stderr)
                return 1
        inputs += len(all)
        if seed == warm_after:
            gc.collect()
            warm_bytes = resident_bytes()
    gc.collect()
    grown = resident_bytes() - warm_bytes if warm_bytes else 0
    print(f"{inputs} inputs for {len(all)} decoders; memory grew by {grown / 1e6:.1f} MB after the first {warm_after}")
    return int(grown > GROWTH_BYTES_MAX)


if __name__ == "__main__":
    sys.exit(main())
