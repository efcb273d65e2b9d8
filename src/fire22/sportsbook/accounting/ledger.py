"""The ledger: what moves a customer's balance, entry by entry, and the payments that do.

The sum of a customer's entries is the balance, always; both are integers of minor units. The credit model of the book:
a balance moves by the profit of a wager when it is settled, by completed payments, by what the desk adjusts, and back
when any of these is undone. What is available to bet with is credit limit + balance − open cash risk.

This is the first flow to see a payment or an adjustment, so it refuses those that cannot be true.

A commit group that touches few customers says their documents at once; one that touches many leaves them to the
watermark, so that a burst costs each customer one document a second.

Source: domain rules, sections 3, 5 and 7.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from fire22.core.message import Json
from fire22.core.scope import customer_path
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Refused, Repeated, Table, expect
from fire22.sportsbook.betting import codes, facts, payments
from fire22.sportsbook.betting.money import Major
from fire22.sportsbook.betting.payments import PaymentRecord
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import MOVES, Movement
from fire22.sportsbook.registry.open_wager import OpenWager
from fire22.sportsbook.registry.waiting_list import WaitingList

AT_ONCE_MAX: Final = 16  # customers that one commit group may touch and still have their documents said at once
FILTERABLE: Final = ("customerId", "agentId", "kind", "amount", "ref")
PAYMENT_FILTERABLE: Final = ("customerId", "agentId", "direction", "method", "status", "amount")


class LedgerAccount(Struct, gc=False, array_like=True):
    """A customer's account; minor units. `entries` counts what was posted."""

    agent_id: str
    path: str
    balance: int = 0
    entries: int = 0


class Holder(Struct, gc=False):
    """What is known of one customer's money.

    Args:
        account: None where nothing has opened one yet.
        scope: the customer's, below its agent; empty without an account.
        risk: open cash risk, minor units.
        is_touched: whether this commit group has moved its figures.
        since_ms: up to which watermark its document is complete, while it is left to the next; None where it is said.
        waits_at: the scope at which it waits, then.
    """

    customer_id: str
    account: LedgerAccount | None = None
    scope: str = ""
    risk: int = 0
    is_touched: bool = False
    since_ms: int | None = None
    waits_at: str = ""


class LedgerEntry(Struct, frozen=True, gc=False, rename="camel"):
    """`data` of a `ledger` message; money in major units, the amount as the customer sees it."""

    entry_id: str
    customer_id: str
    agent_id: str
    agent_path: str
    kind: str
    amount: float
    balance: float
    ref: str
    reason: str | UnsetType = UNSET


class PaymentUpdate(Struct, frozen=True, gc=False, rename="camel"):
    """`data` of a `payments` message; money in major units."""

    payment_id: str
    customer_id: str
    agent_id: str
    agent_path: str
    direction: str
    method: str
    amount: float
    status: str


_PAYMENT: Final = PaymentUpdate.__struct_encode_fields__
_SUMS: Final = ("count", "deposits", "withdrawals")
_BALANCE: Final = ("customerId", "agentId", "balance", "available", "pendingRisk", "creditLimit")
Owned = OpenWager | facts.WagerFact | facts.Customer | facts.Payment | facts.BalanceAdjusted
_encode: Final = msgspec.json.Encoder().encode


class Ledger(Flow):
    """Comes after the registry; `balance_minor` is for the flows after it."""

    name: ClassVar[str] = "ledger"
    version: ClassVar[int] = 2

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.topics = (
            Topic("ledger", Kind.STREAM, FILTERABLE, fields=LedgerEntry.__struct_encode_fields__),
            Topic("payments", Kind.STREAM, PAYMENT_FILTERABLE, fields=_PAYMENT),
            Topic("payment_queue", Kind.VIEW, fields=(*_PAYMENT, "requestedAt", "name", *_SUMS)),
            Topic("balances", Kind.VIEW, fields=_BALANCE),
        )
        self._book = registry
        self._accounts: Table[LedgerAccount] = Table("account", LedgerAccount)
        self._payments: Table[PaymentRecord] = Table("payment", PaymentRecord)
        self._adjusted: Table[tuple[str, str, int]] = Table("adjusted", tuple[str, str, int])
        self._queue = WaitingList(self._waiting, payments.amounts)
        self._holders: dict[str, Holder] = {}
        self._touched: list[Holder] = []
        self._unsaid: list[Holder] = []
        self._unsaid_rows: Table[int] = Table("unsaid", int)
        self._moved: dict[str, str] = {}
        self._clocked = False
        self._at_ms = 0

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Accounts, payments, the adjustments that were told, and whose document waits."""
        return (self._accounts, self._payments, self._adjusted, self._unsaid_rows)  # type: ignore[return-value]

    def handlers(self) -> dict[str, Handler]:
        """What opens an account, what moves a balance, and what changes the credit."""
        return {
            "customer.created": self._customer,
            "customer.imported": self._customer,
            "customer.moved": self._moved_to,
            "customer.renamed": self._renamed,
            "customer.limit_changed": self._limit,
            **dict.fromkeys(MOVES, self._wager),
            **{f"payment.{state}": self._payment for state in payments.STATES},
            "balance.adjusted": self._adjustment,
        }

    def loaded(self) -> None:
        """Derive the open cash risk, the queue, and what was left to the watermark."""
        for customer_id, account in self._accounts:
            self._open(customer_id, account)
        for wager in self._book.wagers():
            self._holder(wager.customer_id).risk += wager.cash
        self._queue.load((key, row) for key, row in self._payments if row.undecided)
        for customer_id, since_ms in self._unsaid_rows:
            self._leave(self._holder(customer_id), since_ms)

    def clock(self) -> None:
        """What a burst has left is said in this group."""
        self._clocked = True

    def idle(self) -> None:
        """The same."""
        self._clocked = True

    def flush(self) -> None:
        """The documents of the customers whose figures moved, and the payments that wait."""
        at_ms, self._at_ms = self._at_ms or self.watermark_ms, 0
        for customer_id, scope in self._moved.items():
            if scope != self._holders[customer_id].scope:
                self.out.view("balances", scope, "", "update", at_ms, None)
        self._moved = {}
        for holder in self._due():
            self._say(holder, at_ms)
        for scope, key, document in self._queue.changes(self._book.money.major):
            self.out.view("payment_queue", scope, key, "update", at_ms, document)

    def _due(self) -> list[Holder]:
        """Whose documents are said in this group, in order; the others it touched are left to the watermark."""
        touched, self._touched = self._touched, []
        for holder in touched:
            holder.is_touched = False
        if not self._clocked and len(touched) > AT_ONCE_MAX:
            for holder in touched:
                if holder.since_ms is None:
                    self._unsaid_rows.put(holder.customer_id, self.before_ms)
                    self._leave(holder, self.before_ms)
            return []
        if self._clocked:
            left, self._unsaid, self._clocked = self._unsaid, [], False
            touched = left + [holder for holder in touched if holder.since_ms is None]
            for holder in left:
                self._no_more_left(holder)
        return sorted(touched, key=attrgetter("customer_id"))

    def _waiting(self, payment_id: str, payment: PaymentRecord, major: Major) -> dict[str, Json]:
        customer = self._book.customer(payment.customer_id)
        return payments.document(payment_id, payment, customer.name if customer is not None else "", major)

    def _leave(self, holder: Holder, since_ms: int) -> None:
        """Leave a document to the watermark."""
        holder.since_ms = since_ms
        self._unsaid.append(holder)
        self._wait_at(holder, holder.scope)

    def _no_more_left(self, holder: Holder) -> None:
        self._unsaid_rows.pop(holder.customer_id)
        self._wait_at(holder, "")
        holder.since_ms = None

    def _wait_at(self, holder: Holder, scope: str) -> None:
        """The document that is left waits at this scope from now on; at an empty one nowhere."""
        if holder.since_ms is not None and holder.waits_at != scope:
            if holder.waits_at:
                self.out.settled("balances", holder.waits_at)
            if scope:
                self.out.waits("balances", scope, holder.since_ms)
            holder.waits_at = scope

    # What other flows may ask.

    def balance_minor(self, customer_id: str) -> int:
        """What the book owes a customer; negative where the customer owes the book. Minor units."""
        holder = self._holders.get(customer_id)
        return holder.account.balance if holder is not None and holder.account is not None else 0

    def payment(self, payment_id: str) -> PaymentRecord | None:
        """A payment as it is now."""
        return self._payments.get(payment_id)

    def balances(self) -> Iterator[tuple[str, int]]:
        """Every customer's balance, minor units."""
        return ((customer_id, account.balance) for customer_id, account in self._accounts)

    # Facts.

    def _customer(self, fact: Fact) -> None:
        customer = expect(fact, facts.Customer)
        id = customer.customer_id
        holder = self._holder(id)
        self._touch(holder, fact.at_ms)
        account = holder.account
        if account is None:
            account = LedgerAccount(customer.agent_id, customer.path)
            self._accounts.put(id, account)
            self._open(id, account)
            # What moved it before is not known; what moves it later comes as facts, also where it is told of again.
            self._post(fact, holder, customer, "opening", customer.balance_minor, id)
        elif account.path != customer.path:
            self._move(holder, account, customer.agent_id, customer.path)

    def _moved_to(self, fact: Fact) -> None:
        """Its balance goes with the customer, and so does what waits to be decided: whoever may decide must see it."""
        moved = expect(fact, facts.CustomerMoved)
        holder = self._holder(moved.customer_id)
        self._touch(holder, fact.at_ms)
        if holder.account is not None:
            self._move(holder, holder.account, moved.agent_id, moved.path)
        for id, payment in self._undecided_of(moved.customer_id):
            self._wait_elsewhere(fact, id, msgspec.structs.replace(payment, agent_id=moved.agent_id, path=moved.path))

    def _move(self, holder: Holder, account: LedgerAccount, agent_id: str, path: str) -> None:
        self._moved.setdefault(holder.customer_id, holder.scope)
        account.agent_id, account.path = agent_id, path
        self._accounts.put(holder.customer_id, account)
        self._open(holder.customer_id, account)

    def _renamed(self, fact: Fact) -> None:
        """The account is the same; what was posted to it stays where it was said."""
        renamed = expect(fact, facts.CustomerRenamed)
        before = self._holders.pop(renamed.before, None) or Holder(renamed.before)
        holder = self._holder(renamed.customer_id)
        holder.risk = before.risk
        self._touched = [each for each in self._touched if each is not before]
        self._unsaid = [each for each in self._unsaid if each is not before]
        self._no_more_left(before)
        self._touch(holder, fact.at_ms)
        account = self._accounts.pop(renamed.before)
        if account is not None:
            self._accounts.put(renamed.customer_id, account)
            self._moved[renamed.customer_id] = self._moved.pop(renamed.before, before.scope)
            self._open(renamed.customer_id, account)
        for id, payment in sorted(self._payments_of(renamed.before).items()):
            payment = msgspec.structs.replace(payment, customer_id=renamed.customer_id)
            if payment.undecided:
                self._wait_elsewhere(fact, id, payment)
            else:
                self._payments.put(id, payment)

    def _payments_of(self, customer_id: str) -> dict[str, PaymentRecord]:
        return {id: payment for id, payment in self._payments if payment.customer_id == customer_id}

    def _undecided_of(self, customer_id: str) -> list[tuple[str, PaymentRecord]]:
        return [(id, payment) for id, payment in self._queue.items() if payment.customer_id == customer_id]

    def _wait_elsewhere(self, fact: Fact, id: str, payment: PaymentRecord) -> None:
        """It waits at the end of the line there."""
        payment = msgspec.structs.replace(payment, order=fact.seq)
        self._queue.leave(id)
        self._queue.put(id, payment)
        self._payments.put(id, payment)

    def _limit(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerLimitChanged)
        self._touch(self._holder(changed.customer_id), fact.at_ms)

    def _wager(self, fact: Fact) -> None:
        move = self._book.move
        opened, closed, revenue = move.opened, move.closed, move.revenue
        one = opened or closed or move.fact
        holder = self._holders.get(one.customer_id) or self._holder(one.customer_id)
        cash = opened.cash if opened is not None else 0
        if closed is not None:
            cash -= closed.cash
        if cash:
            holder.risk += cash
        elif not revenue:
            return
        self._touch(holder, move.at_ms)
        if revenue:
            self._post(fact, holder, one, _kind(move), -revenue, one.wager_id)

    def _payment(self, fact: Fact) -> None:
        told = expect(fact, facts.Payment)
        state = payments.state_of(fact.event.type)
        self._check(told, state)
        id = told.payment_id
        before = self._payments.get(id)
        if before is not None:
            payment = msgspec.structs.replace(before, state=state)
        else:
            payment = PaymentRecord(
                state, fact.seq, told.customer_id, told.agent_id, told.path, told.direction, told.method,
                told.amount_minor, fact.at_ms,
            )  # fmt: skip
        self._payments.put(id, payment)
        self._book.keep_rate(fact, f"payment:{id}")
        if payment.undecided:
            self._queue.put(id, payment)
        else:
            self._queue.leave(id)
        self._at_ms = max(self._at_ms, fact.at_ms)
        path = customer_path(told.path, told.customer_id)
        amount = self._book.money.major(told.amount_minor)
        update = PaymentUpdate(
            id, told.customer_id, told.agent_id, told.path, told.direction, told.method, amount, state
        )
        self.out.stream("payments", path, "update", fact.at_ms, _encode(update))
        moved = payments.balance_minor(state, told.direction, told.amount_minor)
        if moved:
            holder = self._holder(told.customer_id)
            self._touch(holder, fact.at_ms)
            self._post(fact, holder, told, f"{told.direction}_{state}", moved, id)

    def _check(self, told: facts.Payment, state: payments.State) -> None:
        """Whether a step of a payment can be true.

        Raises:
            Refused: `currency_mismatch`, `customer_unknown`, `fact_conflict` or `transition_illegal`.
            Repeated: it is known.
        """
        self._book.check_amount(told.currency, told.customer_id)
        known = self._payments.get(told.payment_id)
        if known is None:
            return
        if (known.customer_id, known.direction, known.amount) != (told.customer_id, told.direction, told.amount_minor):
            raise Refused(
                codes.FACT_CONFLICT,
                "The payment was told of with other content.",
                paymentId=told.payment_id,
                knownCustomerId=known.customer_id,
                knownDirection=known.direction,
                knownAmountMinor=known.amount,
            )
        if known.state == state:
            raise Repeated
        if not payments.is_legal(known.state, state):
            reason = f"A payment that is {known.state} cannot become {state}."
            raise Refused(codes.TRANSITION_ILLEGAL, reason, paymentId=told.payment_id, before=known.state, after=state)

    def _adjustment(self, fact: Fact) -> None:
        told = expect(fact, facts.BalanceAdjusted)
        self._book.check_amount(told.currency, told.customer_id)
        content = (told.customer_id, told.kind, told.amount_minor)
        known = self._adjusted.get(told.entry_id)
        if known == content:
            raise Repeated
        if known is not None:
            raise Refused(
                codes.FACT_CONFLICT,
                "The entry was told of with other content.",
                entryId=told.entry_id,
                knownCustomerId=known[0],
                knownKind=known[1],
                knownAmountMinor=known[2],
            )
        self._adjusted.put(told.entry_id, content)
        holder = self._holder(told.customer_id)
        self._touch(holder, fact.at_ms)
        self._post(fact, holder, told, told.kind, told.amount_minor, told.entry_id, told.reason or UNSET)

    # What facts do to accounts.

    def _holder(self, customer_id: str) -> Holder:
        holder = self._holders.get(customer_id)
        if holder is None:
            holder = self._holders[customer_id] = Holder(customer_id)
        return holder

    def _open(self, customer_id: str, account: LedgerAccount) -> None:
        """A customer has this account from now on, or has it at another place."""
        holder = self._holder(customer_id)
        holder.account = account
        holder.scope = customer_path(account.path, customer_id)
        self._wait_at(holder, holder.scope)

    def _touch(self, holder: Holder, at_ms: int) -> None:
        if not holder.is_touched:
            holder.is_touched = True
            self._touched.append(holder)
        if at_ms > self._at_ms:
            self._at_ms = at_ms

    def _post(
        self, fact: Fact, holder: Holder, one: Owned, kind: str, amount: int, ref: str, reason: str | UnsetType = UNSET
    ) -> None:
        """Move a balance and say why; nothing where nothing moves.

        Args:
            one: says whose it is. The account of one that was never told of (the past's wagers) begins here.
        """
        if amount == 0:
            return
        id, account = holder.customer_id, holder.account
        if account is None:
            account = LedgerAccount(one.agent_id, one.path)
            self._open(id, account)
        account.balance += amount
        account.entries += 1
        self._accounts.put(id, account)
        unit = self._book.money.unit
        entry = LedgerEntry(
            fact.event.id, id, account.agent_id, account.path, kind, amount / unit, account.balance / unit, ref, reason
        )
        self.out.stream("ledger", holder.scope, "update", fact.at_ms, _encode(entry))

    def _say(self, holder: Holder, at_ms: int) -> None:
        account, customer_id = holder.account, holder.customer_id
        if account is None:  # it has an open wager of before, and nothing has moved its balance
            return
        customer = self._book.customer(customer_id)
        credit = customer.credit_limit_minor if customer is not None else 0
        unit = self._book.money.unit
        document: dict[str, Json] = {
            "customerId": customer_id,
            "agentId": account.agent_id,
            "balance": account.balance / unit,
            "available": (credit + account.balance - holder.risk) / unit,
            "pendingRisk": holder.risk / unit,
            "creditLimit": credit / unit,
        }
        self.out.view("balances", holder.scope, "", "update", at_ms, document)


def _kind(move: Movement) -> str:
    """The word of the book's own ledger for what a wager's fact moves."""
    if move.kind == "settled":
        return "settlement"
    if move.kind == "resettled":
        return "resettlement"
    return move.fact.status if isinstance(move.fact, facts.WagerCancelled) else move.kind
