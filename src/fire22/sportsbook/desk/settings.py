"""What can be set of the desk: the platform's own rules for wagers, and how commands wait."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

ODDS: Final = r"^([+-][0-9]{3,9}|[0-9]{1,7}\.[0-9]{1,12}|[0-9]{1,9}/[0-9]{1,9})\Z"


class Teaser(Struct, frozen=True):
    """A teaser that is taken.

    Args:
        points: by how many the lines are moved.
        pays: the odds by the number of teams: American with a sign, decimal with a point, or fractional.
        ties: what a tie does: `push` takes the team out, `loss` and `win` count as such.
    """

    points: Annotated[float, Meta(gt=0, le=1_000)]
    pays: dict[Annotated[str, Meta(pattern=r"^[1-9][0-9]?\Z")], Annotated[str, Meta(pattern=ODDS)]]
    ties: Literal["push", "loss", "win"] = "push"


TEASERS: Final = (
    Teaser(6.0, {"2": "-110", "3": "+160", "4": "+265", "5": "+450", "6": "+700"}),
    Teaser(6.5, {"2": "-120", "3": "+145", "4": "+240", "5": "+400", "6": "+600"}),
    Teaser(7.0, {"2": "-130", "3": "+130", "4": "+215", "5": "+350", "6": "+500"}),
)


class DeskSettings(Struct, frozen=True):
    """`[desk]`: commands that act on the book.

    Args:
        over_limit: what becomes of a wager above a limit: `reject`, or `review`: it is held until somebody decides.
        max_wager_minor: what any wager may risk, minor units; 0 is no limit.
        max_to_win_minor: what any wager may win, minor units; 0 is no limit.
        busy_timeout_s: how long a command waits for another writer of the book; then `book_locked`.
        pending_max: commands that may wait; above it `overloaded`.
        approval_hours: for how long a command waits for a second person.
        keys_days: for how long, at least, a command's key is known; the same key later is a new command.
        teasers: that are taken; one for each number of points. One that was accepted keeps its terms.
    """

    over_limit: Literal["reject", "review"] = "reject"
    max_wager_minor: Annotated[int, Meta(ge=0)] = 0
    max_to_win_minor: Annotated[int, Meta(ge=0)] = 0
    busy_timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 2.0
    pending_max: Annotated[int, Meta(gt=0)] = 1_000
    approval_hours: Annotated[float, Meta(gt=0, le=8_760)] = 24.0
    keys_days: Annotated[int, Meta(gt=0, le=3650)] = 30
    teasers: tuple[Teaser, ...] = TEASERS
