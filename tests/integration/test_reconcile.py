"""An operator compares the whole book with what the server knows, and has the differences brought in."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
import uvloop
from typer.testing import CliRunner

from fire22 import app
from fire22.app import now_ms
from fire22.cli import program
from fire22.sportsbook.book import writer
from fire22.sportsbook.book.changes import AdjustBalance, NewLeg, PlaceWager, SettleWager
from tests.integration.inside import make_config, until
from tests.support.demo_book import DemoBook

LOOP_FACTORY = uvloop.new_event_loop


def check(book: Path, *options: str) -> tuple[int, str]:
    """What `fire22 check` says."""
    said = CliRunner().invoke(program, ["check", "--data", str(book.parent / "data"), "--book", str(book), *options])
    return said.exit_code, " ".join(said.output.split())


@pytest.mark.asyncio
async def test_each_difference_is_said_and_brought_in(tmp_path: Path) -> None:
    """A customer's limit that was changed while no trigger was there."""
    book = DemoBook(tmp_path / "demo.db")
    config = make_config(tmp_path / "data", book.path)
    async with app.running(config) as server:
        await until(lambda: server.delivery.knows_scope("/M1"))
        await until(lambda: server.sources[0].status().position > 0)
        told = server.sources[0].status().position
    assert check(book.path, "--reconcile")[0] == 0
    sql = "SELECT sql FROM sqlite_schema WHERE name = 'fire22_customers_update'"
    trigger = str(book.one(sql))
    customer = str(book.one("SELECT min(id) FROM customers"))
    book.connection.execute("DROP TRIGGER fire22_customers_update")
    book.connection.execute(f"UPDATE customers SET credit_limit_cents = 777 WHERE id = '{customer}'")
    book.connection.execute(trigger)
    code, said = check(book.path, "--reconcile")
    assert code == 1
    assert f"customers {customer} is known otherwise" in said
    assert "1 rows differ: 1 of customers" in said
    assert "customers and markets: ok" in said
    assert check(book.path, "--reconcile", "--repair")[0] == 0
    async with app.running(config) as server:
        await until(lambda: server.sources[0].status().position > told)
    assert "every row is known as it is" in check(book.path, "--reconcile")[1]
    book.connection.close()


async def served(book: DemoBook) -> None:
    """A server has read all that was written to the book, and has ended."""
    async with app.running(make_config(book.path.parent / "data", book.path)) as server:
        last = book.one("SELECT seq FROM sqlite_sequence WHERE name = 'fire22_changes'")
        trimmed = "SELECT CAST(value AS INTEGER) FROM fire22_meta WHERE key = 'trimmed_to'"
        await until(lambda: book.one(trimmed) == last and server.shows_all)


def wagers(book: DemoBook, count: int) -> list[Any]:
    """Wagers of 11.00 to win 10.00, each of another customer on the first selection."""
    sql = "SELECT c.id, a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id ORDER BY c.code LIMIT ?"
    leg = NewLeg(book.one("SELECT min(id) FROM selections"), -110)
    return [
        PlaceWager(f"w{number}", customer, agent, path, "straight", 1100, 1000, now_ms(), "web", False, (leg,))
        for number, (customer, agent, path) in enumerate(book.rows(sql, count))
    ]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[DemoBook]:
    """A book with three open wagers, one of which is settled, and a balance that was moved by hand."""
    made = DemoBook(tmp_path / "book.db")
    writer.write(made.connection, wagers(made, 4))
    writer.write(made.connection, [SettleWager("w0", "win", 2100, now_ms())])
    customer = made.one("SELECT customer_id FROM wagers WHERE id = 'w1'")
    writer.write(made.connection, [AdjustBalance(customer, "correction", 500, "test", "desk", now_ms())])
    yield made
    made.connection.close()


@pytest.mark.asyncio
async def test_what_the_figures_could_not_follow_is_said_with_both_numbers(book: DemoBook) -> None:
    """A row of the ledger that is changed afterwards is set aside: just that customer's balance is another one."""
    await served(book)
    code, said = check(book.path, "--reconcile")
    assert code == 0, said
    assert "3 open wagers are equal" in said
    customer = book.one("SELECT customer_id FROM wagers WHERE id = 'w1'")
    name = book.one("SELECT code FROM customers WHERE id = ?", customer)
    book.connection.execute("UPDATE ledger_entries SET amount_cents = 700 WHERE ref_type = 'adjustment'")
    book.connection.execute("UPDATE customers SET balance_cents = 700 WHERE id = ?", (customer,))
    await served(book)
    code, said = check(book.path, "--reconcile")
    assert code == 1
    assert "every row is known as it is" in said
    assert f"The balance of customer {name}: 7.00 in the book, 5.00 in the figures." in said
    assert "customers and markets: 1 differences 1 facts are set aside as dead letters" in said


@pytest.mark.asyncio
async def test_a_wager_that_the_figures_lack_shows_at_its_customer_and_market(book: DemoBook) -> None:
    """Whatever took it out of the stored state."""
    await served(book)
    with closing(apsw.Connection(str(book.path.parent / "data" / "flows.db"))) as stored:
        stored.execute("DELETE FROM state WHERE \"table\" = 'book/wager' AND key = 'w2'")
        assert stored.changes() == 1
    code, said = check(book.path, "--reconcile")
    name = book.one("SELECT c.code FROM wagers w JOIN customers c ON c.id = w.customer_id WHERE w.id = 'w2'")
    market = book.one("SELECT market_id FROM selections ORDER BY id LIMIT 1")
    assert code == 1
    for each in (
        f"The open wagers of customer {name}: 1 in the book, 0 in the figures.",
        f"The risk of the open wagers of customer {name}: 11.00 in the book, 0.00 in the figures.",
        f"The to-win of the open wagers of customer {name}: 10.00 in the book, 0.00 in the figures.",
        f"The open wagers of market {market}: 3 in the book, 2 in the figures.",
        f"The risk of the open wagers of market {market}: 33.00 in the book, 22.00 in the figures.",
        "customers and markets: 5 differences",
    ):
        assert each in said


@pytest.mark.asyncio
async def test_what_is_not_read_yet_is_no_difference(book: DemoBook) -> None:
    """A server that ended between its copy of the book and its log goes on there."""
    await served(book)
    mirror = next((book.path.parent / "data").glob("mirror-*.db"))
    with closing(apsw.Connection(str(mirror))) as copy:
        copy.execute("INSERT INTO fire22_outbox(type, timestamp, data) VALUES('system.clock', '', '{}')")
    code, said = check(book.path, "--reconcile")
    assert (code, "customers and markets: 1 changes are not read yet" in said) == (0, True)


@pytest.mark.asyncio
async def test_what_was_written_after_the_server_ended_is_no_difference(book: DemoBook) -> None:
    """The next start reads it; only what no change tells of is a difference."""
    await served(book)
    writer.write(book.connection, [SettleWager("w2", "loss", 0, now_ms())])
    code, said = check(book.path, "--reconcile")
    assert "every row is known as it is, but for" in said
    assert "customers and markets: ok" in said
    assert code == 0
    book.connection.execute("DROP TRIGGER fire22_agents_update")
    book.connection.execute("UPDATE agents SET name = 'Other' WHERE code = 'M1'")
    assert "1 rows differ: 1 of agents" in check(book.path, "--reconcile")[1]


@pytest.mark.asyncio
async def test_wagers_in_another_currency_are_left_out(book: DemoBook) -> None:
    """Their amounts are converted at rates that the book does not know."""
    book.connection.execute("UPDATE wagers SET currency = 'EUR' WHERE id = 'w3'")
    await served(book)
    code, said = check(book.path, "--reconcile")
    assert "1 open wagers in another currency are left out" in said
    assert "2 open wagers are equal" in said
    assert code == 0


@pytest.mark.asyncio
async def test_a_wager_whose_legs_never_came_is_named(book: DemoBook) -> None:
    """It counts in no market."""
    book.connection.execute("PRAGMA foreign_keys=OFF; DELETE FROM wager_legs WHERE wager_id = 'w3'")
    await served(book)
    code, said = check(book.path, "--reconcile")
    number = book.one("SELECT wager_number FROM wagers WHERE id = 'w3'")
    assert f"The wager {number} (w3) is a straight without legs: they never came." in said
    assert code == 1
