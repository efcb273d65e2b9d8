"""What a wager was agreed on besides its legs."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from fire22.sportsbook.betting.bounds import LEGS_MAX


class Terms(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What a wager was agreed on besides its legs; see `wager_types.py`. What a type does not need is absent.

    Args:
        by: how many legs each parlay of a round robin has.
        points: by how much the lines of a teaser were moved.
        pays: of a teaser, the odds by the number of teams, as texts: `-110`, `1.909`, `10/11`.
        ties: how a tie counts: `push`, `loss`, `win` in a teaser; `stop`, `go` in an if-bet.
        fraction: of the odds that a place pays each way, such as `1/5`.
        places: how many are placed.
        agreed: whether what the wager wins was agreed on as an amount, whatever its prices say.
        part_of: the wager that this was a part of until it was cashed out.
        won_per: what a wager of which parts were cashed out won at first, over what was staked: `9091/10000`.
    """

    by: Annotated[tuple[Annotated[int, Meta(ge=1, le=LEGS_MAX)], ...], Meta(max_length=LEGS_MAX)] = ()
    points: Annotated[float, Meta(ge=0, le=1_000)] = 0.0
    pays: Annotated[dict[str, Annotated[str, Meta(max_length=32)]], Meta(max_length=LEGS_MAX)] | None = None
    ties: Annotated[str, Meta(max_length=16)] = ""
    fraction: Annotated[str, Meta(max_length=16)] = ""
    places: Annotated[int, Meta(ge=0, le=500)] = 0
    agreed: bool = False
    part_of: Annotated[str, Meta(max_length=200)] = ""
    won_per: Annotated[str, Meta(max_length=64)] = ""


NO_TERMS: Final = Terms()
