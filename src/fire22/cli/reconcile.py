"""What `fire22 check --reconcile` says of the figures: customer by customer and market by market against the book."""

import apsw
from msgspec import Struct

from fire22 import app as application
from fire22.app import Settings
from fire22.cli.terminal import out
from fire22.core import letter
from fire22.core.event import decode_event
from fire22.feed.rows import read_checkpoint, read_documents, read_state
from fire22.flows.base import Flow
from fire22.flows.faults import FoldStopped
from fire22.flows.horizon import CLOCK
from fire22.log.cipher import read_cipher
from fire22.log.database import connect, meta
from fire22.log.rows import read_rows
from fire22.log.sqlite import LogReader
from fire22.sources.follower import Follower
from fire22.sportsbook import reconcile

SHOWN_MAX = 20
TITLE = "customers and markets"


class Known(Struct, frozen=True):
    """What is stored of a book.

    Args:
        flows: as they were folded.
        unread: its facts that the stored figures do not hold yet.
        letters: facts that are set aside.
    """

    flows: tuple[Flow, ...]
    unread: int
    letters: int


def compare_figures(follower: Follower, settings: Settings, *, balances: bool, legs: bool) -> bool:
    """Compare the open wagers and balances of the book with those that the figures go by; whether all are equal.

    Args:
        follower: of the book, whose rows have been compared; no server runs.
        balances: whether the book has them.
        legs: likewise.
    """
    if not follower.book.tells_all:
        out.print(f"{TITLE}: not compared, for the triggers were installed without the rows that were there")
        return True
    mirror = apsw.Connection(str(follower.mirror.path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        bare = reconcile.without_legs(mirror) if legs else []
        _say([f"The wager {which} is a {type} without legs: they never came." for which, type in bare])
        known = _read(follower, settings)
        if known is None:
            out.print(f"{TITLE}: not compared; the server's next start makes the figures again", highlight=False)
        elif known.unread:
            out.print(
                f"{TITLE}: {known.unread:,} changes are not read yet; the server's next start reads them",
                soft_wrap=True,
            )
        else:
            found = reconcile.compare(mirror, known.flows, balances=balances)
            _tell(found, known.letters)
            return not (bare or found.differences)
    finally:
        mirror.close()
    return not bare


def _read(follower: Follower, settings: Settings) -> Known | None:
    """The stored figures; None where this version has to make them again, or cannot make anything of them."""
    engine = application.build_engine(settings.relay.open_topics)
    cipher = read_cipher(settings.encryption.key_file)
    connection = connect(settings.storage, cipher=cipher)
    log = LogReader(settings.storage, cipher=cipher)
    try:
        if meta(connection, "shape") != engine.shape:
            return None
        checkpoint, documents = read_checkpoint(connection), read_documents(connection)
        engine.load(checkpoint, read_state(connection), documents)
        events = (decode_event(body) for *_, body in read_rows(connection, checkpoint.seq))
        unfolded = sum(1 for event in events if event.source == follower.name and event.type != CLOCK)
        position = int(log.source_position(follower.book.book_id) or 0)
    except FoldStopped:
        return None
    finally:
        log.close()
        connection.close()
    letters = sum(1 for each in documents if each.topic == letter.TOPIC and each.body is not None)
    return Known(engine.flows, unfolded + max(0, follower.mirror.numbers()[1] - position), letters)


def _tell(found: reconcile.Compared, letters: int) -> None:
    if found.foreign:
        left_out = f"{found.foreign:,} open wagers in another currency are left out, and balances that one has moved"
        out.print(f"{TITLE}: {left_out}", highlight=False, soft_wrap=True)
    _say(list(map(str, found.differences)))
    if not found.differences:
        equal = f"{found.customers:,} customers, {found.markets:,} markets and {found.wagers:,} open wagers are equal"
        out.print(f"{TITLE}: ok, {equal}", highlight=False, soft_wrap=True)
        return
    out.print(f"{TITLE}: {len(found.differences):,} differences", highlight=False)
    if letters:
        explained = "they may explain these differences; replaying or dismissing them is the way out"
        out.print(f"  {letters:,} facts are set aside as dead letters: {explained}.", highlight=False, soft_wrap=True)


def _say(sentences: list[str]) -> None:
    for each in sentences[:SHOWN_MAX]:
        out.print(f"  {each}", highlight=False, markup=False, soft_wrap=True)
    if len(sentences) > SHOWN_MAX:
        out.print(f"  and {len(sentences) - SHOWN_MAX:,} more", highlight=False)
