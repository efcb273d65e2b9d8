"""The error codes of a sportsbook: why a fact is set aside, or a command refused."""

from typing import Final

from fire22.core.codes import define

CUSTOMER_UNKNOWN: Final = define(
    "customer_unknown", "The fact names a customer that the book has not told of.", status=404
)
AGENT_UNKNOWN: Final = define("agent_unknown", "The fact names an agent that the book has not told of.", status=404)
WAGER_UNKNOWN: Final = define("wager_unknown", "There is no such wager, or it was never placed.", status=404)
PAYMENT_UNKNOWN: Final = define("payment_unknown", "There is no such payment.", status=404)
MARKET_UNKNOWN: Final = define("market_unknown", "There is no such market or selection.", status=404)
ALERT_UNKNOWN: Final = define("alert_unknown", "There is no such alert.", status=404)
CUSTOMER_INACTIVE: Final = define(
    "customer_inactive", "The customer, or an agent above, takes no part in betting now.", status=409
)
MARKET_CLOSED: Final = define("market_closed", "The market takes no wagers now.", status=409)
PRICE_CHANGED: Final = define("price_changed", "The odds have changed; `details` says which.", status=409)
LIMIT_EXCEEDED: Final = define(
    "limit_exceeded", "The amount is above a limit; `details` says which, and whose it is.", status=409
)
CREDIT_EXCEEDED: Final = define(
    "credit_exceeded", "The customer's balance and credit do not cover the amount.", status=409
)
APPROVAL_UNKNOWN: Final = define("approval_unknown", "Nothing of this id waits for an approval.", status=404)
APPROVAL_REJECTED: Final = define(
    "approval_rejected", "Another person rejected the command; with another key it is asked for anew.", status=409
)
APPROVAL_EXPIRED: Final = define(
    "approval_expired", "Nobody decided about the command in time; with another key it is asked for anew.", status=409
)
ASKER_CHANGED: Final = define(
    "asker_changed",
    "Who asked for the command was removed or disabled since, or has other rights; it must be asked for anew.",
    status=409,
)
STAKE_REFUSED: Final = define("stake_refused", "The stake cannot be taken now.", status=409)
WAGER_TYPE_UNKNOWN: Final = define(
    "wager_type_unknown", "Nobody knows wagers of this type here, so none is paid.", status=409
)
WAGER_INVALID: Final = define("wager_invalid", "The wager's type cannot have such legs, terms or results.", status=409)
PAYOUT_DISPUTED: Final = define(
    "payout_disputed", "What the wager was written to win is not what its prices say; `details` has both.", status=409
)
FACT_CONFLICT: Final = define("fact_conflict", "The fact contradicts what was told before.", status=409)
TRANSITION_ILLEGAL: Final = define(
    "transition_illegal", "What this is about is in a state that does not allow it.", status=409
)
CHANGE_FORBIDDEN: Final = define("change_forbidden", "The book changed what an accepted fact never changes.")
CURRENCY_MISMATCH: Final = define(
    "currency_mismatch",
    "The amount is in another currency than the book's, and there is no rate for it, or a command would mix two.",
)
