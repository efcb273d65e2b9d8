"""An operator compares the whole book with what the server knows, and has the differences brought in."""

from pathlib import Path

import pytest
import uvloop
from typer.testing import CliRunner

from fire22 import app
from fire22.cli import program
from tests.demo_book import DemoBook
from tests.integration.inside import make_config, until

LOOP_FACTORY = uvloop.new_event_loop


def check(book: Path, *options: str) -> tuple[int, str]:
    """What `fire22 check` says."""
    said = CliRunner().invoke(program, ["check", "--data", str(book.parent / "data"), "--book", str(book), *options])
    return said.exit_code, " ".join(said.output.split())


@pytest.mark.asyncio
async def test_each_difference_is_said_and_brought_in(tmp_path: Path) -> None:
    """A customer's limit that was changed while no trigger was there."""
    book = DemoBook(tmp_path / "book.db")
    config = make_config(tmp_path / "data", book.path)
    async with app.running(config) as server:
        await until(lambda: server.hub.hub.knows_scope("/M1"))
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
    assert check(book.path, "--reconcile", "--repair")[0] == 0
    async with app.running(config) as server:
        await until(lambda: server.sources[0].status().position > told)
    assert "every row is known as it is" in check(book.path, "--reconcile")[1]
    book.connection.close()
