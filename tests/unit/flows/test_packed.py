"""Tables of a flow's state, and packed pages: what was put is there, what changed is told, what was loaded is used."""

from binascii import crc32
from random import Random

import msgspec
import pytest
from msgspec import Struct

from fire22.flows import packed
from fire22.flows.base import Table, schema_of
from fire22.flows.packed import Pages


class Row(Struct, frozen=True, array_like=True, gc=False):
    """A row."""

    name: str
    number: int


def plain() -> Table[Row]:
    """A table of decoded rows."""
    return Table("rows", Row)


def test_a_row_is_put_got_and_popped() -> None:
    """A flow finds what it has put, as it was put last, and each change is told once."""
    table = plain()
    assert (table.get("a"), table.pop("a"), len(table), list(table)) == (None, None, 0, [])
    table.put("a", Row("x", 1))
    table.put("b", Row("y", 2))
    table.put("a", Row("x", 3))
    assert table.get("a") == Row("x", 3)
    assert sorted(table) == [("a", Row("x", 3)), ("b", Row("y", 2))]
    assert table.take_changed() == [("a", msgspec.msgpack.encode(("x", 3))), ("b", msgspec.msgpack.encode(("y", 2)))]
    assert table.take_changed() == []
    assert table.pop("a") == Row("x", 3)
    assert (table.get("a"), len(table)) == (None, 1)
    assert table.take_changed() == [("a", None)]


def test_a_row_that_is_kept_is_stored_when_it_is_put() -> None:
    """Until then it is found, and no change; one that was stored before is replaced in memory alone."""
    table = plain()
    table.load("a", msgspec.msgpack.encode(("x", 1)))
    for key in "ab":
        table.keep(key, Row("y", 2))
    assert sorted(table) == [("a", Row("y", 2)), ("b", Row("y", 2))]
    assert (len(table), table.take_changed()) == (2, [])
    table.put("b", Row("z", 3))
    assert table.take_changed() == [("b", msgspec.msgpack.encode(("z", 3)))]


def test_what_is_loaded_is_no_change() -> None:
    """A restart writes nothing back, until a row is changed or removed."""
    table = plain()
    for key in "abcd":
        table.load(key, msgspec.msgpack.encode((key, 1)))
    assert len(table) == 4
    assert table.get("a") == Row("a", 1)
    assert table.take_changed() == []
    table.put("b", Row("b", 2))
    assert table.pop("c") == Row("c", 1)
    assert table.pop("c") is None
    assert dict(table.take_changed()) == {"b": msgspec.msgpack.encode(("b", 2)), "c": None}
    assert dict(table) == {"a": Row("a", 1), "b": Row("b", 2), "d": Row("d", 1)}
    assert len(table) == 3


def test_a_loaded_row_is_decoded_when_it_is_asked_for() -> None:
    """A million rows that nobody looks at after a restart cost no time."""
    table = plain()
    table.load("broken", b"\xc1")
    table.load("good", msgspec.msgpack.encode(("x", 1)))
    assert table.get("good") == Row("x", 1)
    with pytest.raises(msgspec.DecodeError):
        table.get("broken")


def test_a_row_changed_in_place_stays_changed() -> None:
    """A flow may change a row of a plain table in place and put it again, loaded or not."""

    class Mutable(Struct):
        number: int

    table = Table("rows", Mutable)
    table.load("a", msgspec.msgpack.encode({"number": 1}))
    row = table.get("a")
    assert row is not None
    row.number = 2
    table.put("a", row)
    assert table.get("a") is row
    assert table.take_changed() == [("a", msgspec.msgpack.encode({"number": 2}))]


KEYS = ["", "a", "aa", "b", "Ä", "𝄞", "a\0b", "\x7f", "þÿ", "0", "00", *(f"w{number}" for number in range(200))]


def value(random: Random) -> bytes:
    """Some bytes, with those that the pages use themselves more often than by chance."""
    return bytes(random.choice((0x00, 0x01, 0x02, 0x61, 0xC0, 0xC1, 0xFE, 0xFF)) for _ in range(random.randrange(9)))


@pytest.mark.parametrize("seed", range(12))
def test_pages_are_a_dict(seed: int) -> None:
    """Whatever is put, replaced, removed and loaded, with any keys and any bytes, the pages hold what a dict would."""
    random = Random(seed)
    pages, model = Pages(), dict[str, bytes]()
    for _ in range(3):
        for key in random.sample(KEYS, random.randrange(len(KEYS))):
            if key not in model:
                model[key] = value(random)
                pages.load(key, model[key])
        assert len(pages) == len(model), f"seed {seed}"
        for _ in range(random.randrange(600)):
            key = random.choice(KEYS)
            if random.random() < 0.3:
                model.pop(key, None)
                pages.update([(key, None)])
            elif random.random() < 0.5:
                model[key] = value(random)
                pages.update([(key, model[key])])
            assert pages.get(key) == model.get(key), f"seed {seed}"
        assert dict(pages) == model, f"seed {seed}"
        assert len(list(pages)) == len(pages) == len(model), f"seed {seed}"


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 1000])
@pytest.mark.parametrize("loaded", [0.0, 0.5, 1.0])
def test_every_size_finds_its_rows(count: int, loaded: float) -> None:
    """However many rows there are, and however they came, each is found and no page is long."""
    pages = Pages()
    for number in range(count):
        if number < count * loaded:
            pages.load(f"key{number}", b"%d" % number)
        else:
            pages.update([(f"key{number}", b"%d" % number)])
    assert [pages.get(f"key{number}") for number in range(count)] == [b"%d" % number for number in range(count)]
    assert pages.get(f"key{count}") is None
    lengths = [page.count(b"\xc1") for page in pages._pages]
    assert sum(lengths) == count
    assert max(lengths) <= 6 * packed.ROWS_MAX
    assert len(lengths) >= count // packed.ROWS_MAX


def test_keys_of_one_hash_are_told_apart() -> None:
    """Two keys whose hash is the same are two rows, whatever the values hold."""
    pages = Pages()
    one, other = "plumless", "buckeroo"  # the same CRC-32, and so with the same bytes around them
    assert crc32(b"\xc1plumless\xc0") == crc32(b"\xc1buckeroo\xc0")
    pages.update([(one, b"\xc1buckeroo\xc01")])
    assert pages.get(other) is None
    pages.update([(other, b"2")])
    assert (pages.get(one), pages.get(other)) == (b"\xc1buckeroo\xc01", b"2")


def test_a_packed_row_costs_little_more_than_its_bytes() -> None:
    """A million settled wagers fit in memory beside everything else."""
    pages = Pages()
    encode = msgspec.msgpack.encode
    pages.update([(f"w{number:06}", encode(("settled", number))) for number in range(20_000)])
    bytes_of_one = len("w000000") + len(encode(("settled", 20_000)))
    assert pages.size_bytes <= 20_000 * (bytes_of_one + 3)


def test_a_description_is_no_part_of_how_a_row_is_encoded() -> None:
    """Another sentence in the source makes no installation fold its log again; another field does."""

    def made(**fields: type) -> type:
        return msgspec.defstruct("Row", list(fields.items()))

    described = made(amount=int)
    described.__doc__ = "What a row is."
    assert schema_of(described) == schema_of(made(amount=int))
    assert schema_of(made(amount=int, description=str)) != schema_of(made(amount=int))
    assert schema_of(made(description=str)) != schema_of(made(description=int))
