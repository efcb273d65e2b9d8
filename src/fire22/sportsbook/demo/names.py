"""What people, teams and leagues of the demo book are called; all names are invented."""

from random import Random
from typing import Final

from msgspec import Struct


class League(Struct, frozen=True):
    """A league: its sport, whether games can end in a draw, and the usual spread and total."""

    id: str
    sport: str
    name: str
    draws: bool
    spread_max: int
    total: float
    teams: tuple[str, ...]


LEAGUES: Final = (
    League(
        "gridiron", "American football", "Gridiron Conference", False, 10, 44.5,
        ("Harbor City", "Redwood", "Ironton", "Lakeside", "Summit", "Bayview", "Prairie", "Canyon"),
    ),
    League(
        "hoops", "Basketball", "Continental Hoops", False, 9, 221.5,
        ("Northport", "Silver Lake", "Easton", "Granite", "Westgate", "Delta", "Highland", "Riverton"),
    ),
    League(
        "diamond", "Baseball", "Diamond League", False, 2, 8.5,
        ("Oak Valley", "Port Royal", "Mesa", "Brighton", "Cedar Falls", "Kingsport", "Madera", "Stonebridge"),
    ),
    League(
        "ice", "Ice hockey", "Northern Ice League", False, 2, 6.0,
        ("Frostburg", "Whitehorse", "Timmins", "Kirkland", "Boulder", "Alma", "Saguenay", "Thunder Bay"),
    ),
    League(
        "premier", "Soccer", "First Division", True, 2, 2.5,
        ("Ashford", "Milton", "Carrick", "Dunmore", "Elmbridge", "Fairhaven", "Glenrock", "Holbrook"),
    ),
    League(
        "court", "Tennis", "Grand Court Tour", False, 5, 22.5,
        ("A. Moreau", "B. Lindqvist", "C. Okafor", "D. Petrov", "E. Tanaka", "F. Almeida", "G. Novak", "H. Reyes"),
    ),
)  # fmt: skip

FIRST_NAMES: Final = (
    "Alex", "Amara", "Ben", "Carla", "Chris", "Dana", "Diego", "Elena", "Emil", "Farid", "Grace", "Hana", "Igor", "Ivy",
    "Jamal", "Jo", "Kai", "Lena", "Luis", "Maya", "Nadia", "Noor", "Omar", "Paula", "Quinn", "Rosa", "Sam", "Tara",
    "Uma", "Victor", "Wes", "Yara", "Zoe",
)  # fmt: skip
LAST_NAMES: Final = (
    "Abbott", "Barros", "Castillo", "Dunn", "Ellis", "Fischer", "Garza", "Hughes", "Ibarra", "Jensen", "Keller",
    "Lopez", "Marsh", "Nolan", "Ortiz", "Pratt", "Quist", "Ramos", "Stone", "Torres", "Usher", "Vance", "Walsh",
    "Young", "Zeller",
)  # fmt: skip


def person(rng: Random) -> str:
    """A name for somebody."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
