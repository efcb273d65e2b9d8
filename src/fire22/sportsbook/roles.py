"""Who may see what in a book. Source: domain rules, roles."""

from typing import Final

from fire22.core.role import Role

# Every role but the cashier sees the ticker, the figures and the activity of its own scope; all see the money there.
_WATCHES: Final = frozenset({"kpi", "wagers", "reviews", "activity", "figures", "reports"})
_MONEY: Final = frozenset({"payments", "payment_queue", "balances", "ledger"})
_EARNS: Final = frozenset({"commission"})
_EXPOSURE: Final = frozenset({"exposure"})  # what the book may lose is for who runs it and its sub-trees
_ALERTS: Final = frozenset({"alerts"})
_LETTERS: Final = frozenset({"dead_letters"})


def roles(open_topics: tuple[str, ...]) -> dict[str, Role]:
    """The book's roles; topics that are open for anything are open to every role."""
    watches = _WATCHES | _MONEY | frozenset(open_topics)
    return {
        "admin": Role(None, publish=True, address=True, operate=True),
        "service": Role(None, publish=True, address=True, operate=True, kind="machine"),
        "risk": Role(watches | _ALERTS | _EXPOSURE | _LETTERS, operate=True),
        "auditor": Role(watches | _ALERTS | _EXPOSURE | _LETTERS | _EARNS),
        "master": Role(watches | _ALERTS | _EXPOSURE | _EARNS, kind="agent"),
        "agent": Role(watches | _ALERTS | _EXPOSURE | _EARNS, kind="agent"),
        "customer": Role(watches, kind="customer"),
        "cashier": Role(_MONEY.union(open_topics)),
    }
