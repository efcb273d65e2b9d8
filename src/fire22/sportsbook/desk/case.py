"""One command at work: who asks, what is allowed, the open transaction, and what is written down about it."""

from collections.abc import Callable, Iterable, Mapping

import apsw
from msgspec import Struct

from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.role import Grant
from fire22.sportsbook.betting import codes
from fire22.sportsbook.book import writer
from fire22.sportsbook.book.changes import Change, ModifyWager, PlaceWager
from fire22.sportsbook.book.writer import check_minor
from fire22.sportsbook.desk.permits import Actor
from fire22.sportsbook.desk.reads import Reader
from fire22.sportsbook.desk.settings import DeskSettings


class Done(Struct, frozen=True):
    """What a command has done.

    Args:
        entity: what it was done to, as `wager:<id>`.
        result: for the answer.
        before, after: for the audit.
        customer: whose it is; empty is the whole book's.
        amount_minor: how much money it is about, as what a role may do alone is measured.
    """

    entity: str
    result: Mapping[str, Json]
    before: Mapping[str, Json] = {}
    after: Mapping[str, Json] = {}
    customer: str = ""
    amount_minor: int = 0


class Case(Struct, frozen=True):
    """What a performer needs.

    Args:
        name: of the command.
        grant: what the actor's role grants of it.
        free_play: whether the actor may let a customer bet the house's money.
        house: the platform's own rules.
        currency: the book's, of all amounts of commands and of the limits.
        new_id: makes an id of the book.
        alert_status: of the alert that the command is about.
    """

    name: str
    actor: Actor
    grant: Grant
    free_play: bool
    house: DeskSettings
    currency: str
    now_ms: int
    new_id: Callable[[], str]
    connection: apsw.Connection
    read: Reader
    alert_status: str = ""

    def check_currency(self, *said: str | None) -> None:
        """Whether what a command's amounts are about is in the book's currency, as they are; None is that.

        Raises:
            RequestError: `currency_mismatch`.
        """
        for each in said:
            self.check_same(each, None)

    def check_same(self, currency: str | None, account: str | None) -> None:
        """Whether an amount is in the currency of the account whose balance it moves; None is the book's.

        Raises:
            RequestError: `currency_mismatch`.
        """
        said, other = currency or self.currency, account or self.currency
        if said != other:
            of = "book" if account is None else "account"
            message = f"The amount is in {said}; the {of}'s currency is {other}."
            raise RequestError(codes.CURRENCY_MISMATCH, message, details={"currency": said, of: other})

    def write(self, items: Iterable[Change]) -> None:
        """Write changes within the command's transaction: all of them, or none.

        Raises:
            RequestError: `limit_exceeded`, an amount or a balance is more than a fact may carry.
        """
        execute = self.connection.execute
        execute("SAVEPOINT desk_write")
        try:
            for item in items:
                _check_amounts(item)
                writer.write(self.connection, [item])
        except RequestError:
            execute("ROLLBACK TO desk_write")
            execute("RELEASE desk_write")
            raise
        execute("RELEASE desk_write")


def _check_amounts(item: Change) -> None:
    """Whether facts may carry the amounts of a change, and what a wager returns if it wins."""
    if isinstance(item, PlaceWager | ModifyWager):
        check_minor("risk and win together", item.risk_minor + item.to_win_minor)
    for name in item.__struct_fields__:
        if name.endswith("_minor"):
            check_minor(name.removesuffix("_minor").replace("_", " "), getattr(item, name))
