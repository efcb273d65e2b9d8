"""The undecided payments of each scope, oldest first: a bounded list, and a document that says what waits in all."""

from collections.abc import Iterable, Iterator
from typing import Final

from fire22.core.message import Json
from fire22.core.scope import ancestors
from fire22.core.times import to_text
from fire22.sportsbook.money import major
from fire22.sportsbook.payments import Payment
from fire22.sportsbook.ticker import customer_path

SHOWN_MAX: Final = 200  # of a scope; the next in line appears when one of these is decided

Change = tuple[str, str, dict[str, Json] | None]


class _Line:
    """What waits in one scope, in the order of its requests: the shown ones, and those behind them."""

    __slots__ = ("deposits", "shown", "waiting", "withdrawals")

    def __init__(self) -> None:
        self.shown: dict[str, None] = {}
        self.waiting: dict[str, None] = {}
        self.deposits = 0
        self.withdrawals = 0

    def count(self, payment: Payment, sign: int) -> None:
        """Add to, or take from, the sums."""
        if payment.direction == "deposit":
            self.deposits += sign * payment.amount
        else:
            self.withdrawals += sign * payment.amount


class Queue:
    """Derived from the payments: `put` each when it changes, and say what `changes` yields."""

    def __init__(self) -> None:
        self._undecided: dict[str, Payment] = {}
        self._lines: dict[str, _Line] = {}
        self._changed: dict[tuple[str, str], None] = {}

    def load(self, undecided: Iterable[tuple[str, Payment]]) -> None:
        """Take the undecided payments after a restart; nothing of it is a change."""
        for payment_id, payment in sorted(undecided, key=lambda each: each[1].order):
            self.put(payment_id, payment)
        self._changed = {}

    def put(self, payment_id: str, payment: Payment) -> None:
        """A payment is as it is now; of one, only the state changes."""
        before = self._undecided.pop(payment_id, None)
        if payment.undecided:
            self._undecided[payment_id] = payment
        for scope in ancestors(customer_path(payment.path, payment.customer_id)):
            if before is None and payment.undecided:
                self._enter(scope, payment_id, payment)
            elif before is not None and not payment.undecided:
                self._leave(scope, payment_id, before)
            elif payment.undecided and payment_id in self._lines[scope].shown:
                self._changed[scope, payment_id] = None

    def changes(self) -> Iterator[Change]:
        """The documents that changed since the last call, as (scope, key, document); None is one that is gone."""
        changed, self._changed = self._changed, {}
        for scope, payment_id in sorted(changed):
            line = self._lines.get(scope)
            if payment_id == "":
                yield scope, "", _summary(line) if line is not None else None
            elif line is not None and payment_id in line.shown:
                yield scope, payment_id, _document(payment_id, self._undecided[payment_id])
            else:
                yield scope, payment_id, None

    def _enter(self, scope: str, payment_id: str, payment: Payment) -> None:
        line = self._lines.get(scope)
        if line is None:
            line = self._lines[scope] = _Line()
        line.count(payment, 1)
        self._changed[scope, ""] = None
        if len(line.shown) < SHOWN_MAX:
            line.shown[payment_id] = None
            self._changed[scope, payment_id] = None
        else:
            line.waiting[payment_id] = None

    def _leave(self, scope: str, payment_id: str, payment: Payment) -> None:
        line = self._lines[scope]
        line.count(payment, -1)
        self._changed[scope, ""] = None
        if payment_id in line.waiting:
            del line.waiting[payment_id]
            return
        del line.shown[payment_id]
        self._changed[scope, payment_id] = None
        following = next(iter(line.waiting), None)
        if following is not None:
            del line.waiting[following]
            line.shown[following] = None
            self._changed[scope, following] = None
        elif not line.shown:
            del self._lines[scope]


def _document(payment_id: str, payment: Payment) -> dict[str, Json]:
    return {
        "paymentId": payment_id,
        "customerId": payment.customer_id,
        "agentId": payment.agent_id,
        "agentPath": payment.path,
        "direction": payment.direction,
        "method": payment.method,
        "amount": major(payment.amount),
        "status": payment.state,
        "requestedAt": to_text(payment.requested_ms),
    }


def _summary(line: _Line) -> dict[str, Json]:
    return {
        "count": len(line.shown) + len(line.waiting),
        "deposits": major(line.deposits),
        "withdrawals": major(line.withdrawals),
    }
