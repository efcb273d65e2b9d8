"""How much one wager may be: the limits of the player, of each agent above, and of the platform; the lowest holds.

Credit is a customer's and, where an agent has a limit of its own, the agent's: what all customers of its sub-tree draw
together. What a customer draws is the open cash risk beyond the balance; nobody's winnings cover another's stakes.
"""

from math import floor

from msgspec import Struct

from fire22.core.errors import Details, RequestError
from fire22.core.scope import covers
from fire22.sportsbook.betting import codes
from fire22.sportsbook.betting.odds import as_written
from fire22.sportsbook.desk.case import Case
from fire22.sportsbook.desk.reads import BookAgent, BookCustomer, BookWager
from fire22.sportsbook.desk.settings import DeskSettings


class Limit(Struct, frozen=True):
    """A limit and whose it is; minor units."""

    minor: int
    whose: str


def largest_wager(customer: BookCustomer, agents: list[BookAgent], house: DeskSettings) -> Limit | None:
    """The most that a customer may risk on one wager, or None where nobody limits it.

    A player's own limit counts times the bet factor, rounded down. 0 is no limit of its own.

    Raises:
        AmountError: the bet factor is no finite number.
    """
    own = floor(customer.max_wager * as_written(customer.bet_factor).limit_denominator(1_000_000))
    limits = [Limit(own, f"customer {customer.code}")] if customer.max_wager > 0 else []
    limits += [Limit(agent.max_wager, f"agent {agent.code}") for agent in agents if agent.max_wager > 0]
    if house.max_wager_minor > 0:
        limits.append(Limit(house.max_wager_minor, "platform"))
    return min(limits, key=lambda limit: limit.minor, default=None)


def over_limit(limit: Limit | None, house: DeskSettings, risk_minor: int, to_win_minor: int) -> RequestError | None:
    """Why a wager is above a limit (`limit_exceeded`), or None."""
    if limit is not None and risk_minor > limit.minor:
        return _exceeded("risk", limit, risk_minor)
    if 0 < house.max_to_win_minor < to_win_minor:
        return _exceeded("win", Limit(house.max_to_win_minor, "platform"), to_win_minor)
    return None


def check_increase(case: Case, wager: BookWager, risk_minor: int, to_win_minor: int) -> None:
    """Whether an open wager may have other amounts: what increases is within the limits of a new wager.

    An accepted wager cannot be held for review, so above a limit it is refused whatever `desk.over_limit` says.

    Raises:
        RequestError: `limit_exceeded`, or as of `check_credit` where its stake needs more of the credit.
    """
    more_risk, more_to_win = risk_minor > wager.risk, to_win_minor > wager.to_win
    if not (more_risk or more_to_win):
        return
    customer = case.read.customer(wager.customer)
    agents = case.read.agents(customer.path)
    over = over_limit(
        largest_wager(customer, agents, case.house) if more_risk else None,
        case.house,
        risk_minor,
        to_win_minor if more_to_win else 0,
    )
    if over is not None:
        raise over
    if more_risk and not wager.free_play:
        check_credit(case, customer, agents, risk_minor - wager.risk)


def check_credit(case: Case, customer: BookCustomer, agents: list[BookAgent], risk_minor: int) -> None:
    """Whether credit limit + balance − open cash risk covers a stake, and each agent's credit what it draws.

    Raises:
        RequestError: `credit_exceeded`, `currency_mismatch`, or `stake_refused` where it is an agent's that the actor
            may know nothing of.
    """
    risk = open_risk(case, customer)
    _check_own_credit(customer, risk, risk_minor)
    drawn = max(0, risk + risk_minor - customer.balance) - max(0, risk - customer.balance)
    for agent in agents:
        if drawn and agent.credit_limit > 0:
            available = agent.credit_limit - _drawn(case, agent)
            if drawn > available:
                raise _agent_spent(case, agent, available, drawn, risk_minor)


def _agent_spent(case: Case, agent: BookAgent, available: int, drawn: int, risk_minor: int) -> RequestError:
    """Why a stake is not taken that draws more of an agent's credit than is left.

    Whoever is not the agent itself, nor above it, learns nothing of the agent's business: the stake is not taken now.
    """
    if not covers(case.actor.scope, agent.path):
        return RequestError(codes.STAKE_REFUSED, "This stake cannot be taken now.", details={"riskMinor": risk_minor})
    message = f"The stake draws {drawn} of credit, more than the agent {agent.code} has left."
    details: Details = {"whose": f"agent {agent.code}", "riskMinor": risk_minor, "availableMinor": available}
    return RequestError(codes.CREDIT_EXCEEDED, message, details=details)


def open_risk(case: Case, customer: BookCustomer) -> int:
    """The cash that a customer has at risk in open wagers, minor units of the account.

    Raises:
        RequestError: `currency_mismatch`, one of them is in another currency.
    """
    total = 0
    for currency, risk in case.read.open_risk(customer.id):
        case.check_same(currency, customer.currency)
        total += risk
    return total


def _drawn(case: Case, agent: BookAgent) -> int:
    """What the customers of an agent's sub-tree draw of its credit, minor units of the book's currency.

    Raises:
        RequestError: `currency_mismatch`, some of it is in another one.
    """
    total = 0
    for currency, amount in case.read.credit_drawn(agent.path, case.currency):
        if currency != case.currency:
            if not covers(case.actor.scope, agent.path):
                raise RequestError(codes.STAKE_REFUSED, "This stake cannot be taken now.")
            message = f"What is drawn of the credit of the agent {agent.code} is not all in {case.currency}."
            raise RequestError(codes.CURRENCY_MISMATCH, message, details={"whose": f"agent {agent.code}"})
        total += amount
    return total


def _check_own_credit(customer: BookCustomer, open_risk_minor: int, risk_minor: int) -> None:
    available = customer.credit_limit + customer.balance - open_risk_minor
    if risk_minor > available:
        message = f"{risk_minor} is more than the {max(0, available)} that {customer.code} has available."
        details: Details = {"availableMinor": available, "riskMinor": risk_minor}
        raise RequestError(codes.CREDIT_EXCEEDED, message, details=details)


def _exceeded(what: str, limit: Limit, amount_minor: int) -> RequestError:
    message = f"A wager may {what} at most {limit.minor} here, not {amount_minor}; the limit is of the {limit.whose}."
    details: Details = {
        "limitMinor": limit.minor,
        "amountMinor": amount_minor,
        "whose": limit.whose,
    }
    return RequestError(codes.LIMIT_EXCEEDED, message, details=details)
