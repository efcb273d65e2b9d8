"""Who may see and do what in a book, unless an operator says otherwise. Source: domain rules, roles and section 8.

What a user may act on is what the own scope covers, whatever the role: the whole book, the own sub-tree, or the
customer itself.
"""

from collections.abc import Iterable
from typing import Final

from fire22.core.role import Grant, Role

# Every role but the cashier sees the ticker, the figures and the activity of its own scope; all see the money there.
_WATCHES: Final = frozenset({"kpi", "wagers", "reviews", "activity", "figures", "reports"})
_MONEY: Final = frozenset({"payments", "payment_queue", "balances", "ledger"})
_EARNS: Final = frozenset({"commission"})
_EXPOSURE: Final = frozenset({"exposure"})  # what the book may lose is for who runs it and its sub-trees
_ALERTS: Final = frozenset({"alerts"})
_LETTERS: Final = frozenset({"dead_letters"})
_AUDIT: Final = frozenset({"audit"})  # who did what

PLACING: Final = ("wager.place",)
FREE_PLAY: Final = "wager.place_free"  # what it takes, beside `wager.place`, to let a customer bet the house's money
SETTLING: Final = (
    "wager.accept", "wager.reject", "wager.settle", "wager.cash_out", "wager.void", "wager.cancel", "wager.modify",
    "market.settle",
)  # fmt: skip
ROLLING_BACK: Final = ("wager.reopen",)
MARKETS: Final = ("market.status",)
LIMITING: Final = ("customer.limit", "customer.status")
ASKING: Final = ("payment.request",)
PAYING: Final = ("payment.approve", "payment.complete", "payment.reject", "payment.fail", "payment.charge_back")
ADJUSTING: Final = ("balance.adjust",)
ALERTING: Final = ("alert.acknowledge", "alert.close")
APPROVING: Final = ("approval.approve", "approval.reject")

_HOUSE: Final = (
    *PLACING, FREE_PLAY, *SETTLING, *ROLLING_BACK, *MARKETS, *LIMITING, *ASKING, *PAYING, *ADJUSTING, *ALERTING,
)  # fmt: skip
_RISK: Final = (*SETTLING, *MARKETS, *LIMITING, *ALERTING)
_MAY: Final = Grant()
_DECIDES: Final = Grant(approve=True)  # also about what another person asked for
_FLAGGED: Final = Grant(flagged=True)


def _grants(names: Iterable[str], grant: Grant = _MAY) -> dict[str, Grant]:
    return dict.fromkeys(names, grant)


_APPROVES: Final = _grants(APPROVING)
_MASTER: Final = (
    _grants(PLACING, _FLAGGED)
    | _grants(LIMITING, Grant(within_own=True))
    | _grants(PAYING, _FLAGGED)
    | _grants(ALERTING)
)
_AGENT: Final = _grants(PLACING, _FLAGGED) | _grants(LIMITING, Grant(flagged=True, within_own=True)) | _grants(ALERTING)


def roles(open_topics: tuple[str, ...]) -> dict[str, Role]:
    """The book's roles; topics that are open for anything are open to every role."""
    watches = _WATCHES | _MONEY | frozenset(open_topics)
    sees = watches | _ALERTS | _EXPOSURE
    return {
        "admin": Role(
            None,
            publish=True,
            address=True,
            operate=True,
            administer=True,
            commands=_grants(_HOUSE, _DECIDES) | _APPROVES,
        ),
        "service": Role(None, publish=True, address=True, operate=True, kind="machine", commands=_grants(_HOUSE)),
        "risk": Role(sees | _LETTERS, operate=True, commands=_grants(_RISK, _DECIDES) | _APPROVES),
        "auditor": Role(sees | _LETTERS | _EARNS | _AUDIT),
        "master": Role(sees | _EARNS, kind="agent", commands=_MASTER),
        "agent": Role(sees | _EARNS, kind="agent", commands=_AGENT),
        "customer": Role(watches, kind="customer", commands=_grants((*PLACING, *ASKING))),
        "cashier": Role(_MONEY.union(open_topics), commands=_grants((*ASKING, *PAYING, *ADJUSTING))),
    }
