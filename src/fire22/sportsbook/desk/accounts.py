"""What the desk does with a customer's account: limits, status, payments, adjustments."""

from typing import Final

from fire22.core import codes
from fire22.core.errors import Details, RequestError
from fire22.core.message import Json
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.betting import payments
from fire22.sportsbook.betting.bounds import MINOR_MAX
from fire22.sportsbook.betting.payments import State
from fire22.sportsbook.book import changes
from fire22.sportsbook.desk import commands, limits
from fire22.sportsbook.desk.case import Case, Done
from fire22.sportsbook.desk.reads import BookCustomer, BookPayment

_STEPS: Final[dict[str, State]] = {
    "payment.approve": "approved",
    "payment.complete": "completed",
    "payment.reject": "rejected",
    "payment.fail": "failed",
    "payment.charge_back": "charged_back",
}


def set_limit(case: Case, command: commands.SetLimit) -> Done:
    """A customer gets other limits; where the role says so, none above those of the actor's own agent."""
    customer = case.read.customer(command.customer_id)
    case.check_currency(customer.currency)
    credit = customer.credit_limit if command.credit_limit_minor is None else command.credit_limit_minor
    largest = customer.max_wager if command.max_wager_minor is None else command.max_wager_minor
    if case.grant.within_own:
        _check_within_own(case, credit, largest)
    case.write([changes.SetLimit(customer.id, credit, largest, case.now_ms)])
    before = _limits(customer.credit_limit, customer.max_wager)
    after = _limits(credit, largest)
    result = {"customerId": customer.code} | after
    amount = _raised(customer.credit_limit, customer.max_wager, credit, largest)
    return Done(f"customer:{customer.code}", result, before, after, customer.code, amount)


def _raised(credit: int, largest: int, new_credit: int, new_largest: int) -> int:
    """By how much limits are raised at most; 0 of the largest wager is no limit, and above all."""
    top = MINOR_MAX
    return max(0, new_credit - credit, (new_largest or top) - (largest or top))


def set_status(case: Case, command: commands.SetCustomerStatus) -> Done:
    """A customer is suspended, or active again; who manages a sub-tree suspends, and leaves the other to the house."""
    customer = case.read.customer(command.customer_id)
    if case.grant.within_own and command.status == "active":
        raise RequestError(codes.FORBIDDEN, f"The role {case.actor.role} suspends customers; the house lets them back.")
    if customer.status not in ("active", "suspended"):
        details: Details = {"before": customer.status, "after": command.status}
        message = f"A customer who is {customer.status[:64]} cannot become {command.status}."
        raise RequestError(betting_codes.TRANSITION_ILLEGAL, message, details=details)
    if customer.status != command.status:
        case.write([changes.SetCustomerStatus(customer.id, command.status, case.now_ms)])
    result: dict[str, Json] = {"customerId": customer.code, "status": command.status}
    after: dict[str, Json] = {"status": command.status, "reason": command.reason}
    return Done(f"customer:{customer.code}", result, {"status": customer.status}, after, customer.code)


def request(case: Case, command: commands.RequestPayment) -> Done:
    """A payment is asked for; what is to be paid out must be the customer's own, and not at risk."""
    customer = case.read.customer(command.customer_id)
    case.check_currency(customer.currency)
    if command.direction == "withdrawal":
        _check_own(case, customer, command.amount_minor)
    id = case.new_id()
    case.write(
        [changes.RequestPayment(id, customer.id, command.direction, command.method, command.amount_minor, case.now_ms)]
    )
    return _paid(case, id, {})


def decide(case: Case, command: commands.DecidePayment) -> Done:
    """A payment goes on by the step that the command names."""
    payment = case.read.payment(command.payment_id)
    before, after = _state(payment), _STEPS[case.name]
    if not payments.is_legal(before, after):
        details: Details = {"before": before, "after": after}
        following = ", ".join(payments.successors(before)) or "nothing"
        message = f"A payment that is {before} cannot become {after}: what may follow is {following}."
        raise RequestError(betting_codes.TRANSITION_ILLEGAL, message, details=details)
    if after in ("completed", "charged_back"):
        case.check_same(payment.currency, payment.account)
    if after == "completed" and payment.direction == "withdrawal":
        _check_own(case, case.read.customer(payment.customer), payment.amount)
    if after != "requested":
        case.write([changes.DecidePayment(payment.id, after, case.actor.subject, case.now_ms)])
    return _paid(case, payment.id, {"status": before})


def adjust(case: Case, command: commands.AdjustBalance) -> Done:
    """A balance is moved by hand, and the reason written down."""
    customer = case.read.customer(command.customer_id)
    case.check_currency(customer.currency)
    if command.amount_minor == 0:
        raise RequestError(codes.COMMAND_INVALID, "An adjustment moves something: the amount is not 0.")
    case.write(
        [
            changes.AdjustBalance(
                customer.id, command.kind, command.amount_minor, command.reason, case.actor.subject, case.now_ms
            )
        ]
    )
    after = case.read.customer(customer.code).balance
    result: dict[str, Json] = {
        "customerId": customer.code,
        "kind": command.kind,
        "amountMinor": command.amount_minor,
        "balanceMinor": after,
    }
    return Done(
        f"customer:{customer.code}",
        result,
        {"balanceMinor": customer.balance},
        {"balanceMinor": after, "kind": command.kind, "reason": command.reason},
        customer.code,
        abs(command.amount_minor),
    )


def _check_within_own(case: Case, credit: int, largest: int) -> None:
    """Whether limits are within those of the actor's own agent; 0 there is no limit of its own.

    The own agent is the nearest one at or above the actor's scope: for the scope of a customer, the customer's agent.

    Raises:
        RequestError: `limit_exceeded`, or `forbidden` where the actor's scope has no agent.
    """
    agents = case.read.agents(case.actor.scope)
    if not agents:
        message = f"The role {case.actor.role} sets limits within those of its own agent; the scope is of none."
        raise RequestError(codes.FORBIDDEN, message)
    own = agents[-1]
    above = 0 < own.credit_limit < credit or (own.max_wager > 0 and not 0 < largest <= own.max_wager)
    if above:
        details: Details = _limits(own.credit_limit, own.max_wager)  # type: ignore[assignment]
        raise RequestError(
            betting_codes.LIMIT_EXCEEDED, "No customer gets more than the agent's own limits.", details=details
        )


def _check_own(case: Case, customer: BookCustomer, amount: int) -> None:
    """Whether an amount is the customer's own money: the balance, less what is at risk."""
    own = customer.balance - limits.open_risk(case, customer)
    if amount > own:
        message = f"{amount} is more than the {max(0, own)} that {customer.code} can be paid."
        raise RequestError(
            betting_codes.CREDIT_EXCEEDED, message, details={"availableMinor": own, "amountMinor": amount}
        )


def _limits(credit: int, largest: int) -> dict[str, Json]:
    return {"creditLimitMinor": credit, "maxWagerMinor": largest}


def _state(payment: BookPayment) -> State:
    """The book says `pending` of what was requested."""
    if payment.status == "pending":
        return "requested"
    return payments.state_of(f"payment.{payment.status}")


def _paid(case: Case, payment_id: str, before: dict[str, Json]) -> Done:
    payment = case.read.payment(payment_id)
    result: dict[str, Json] = {
        "paymentId": payment.id,
        "customerId": payment.customer,
        "status": _state(payment),
        "direction": payment.direction,
        "amountMinor": payment.amount,
    }
    after: dict[str, Json] = {"status": _state(payment)}
    return Done(f"payment:{payment.id}", result, before, after, payment.customer, payment.amount)
