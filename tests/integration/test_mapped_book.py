"""A book with other tables, from the check of its values to a stream and to figures that its own SQL confirms."""

from pathlib import Path

import apsw
import pytest
import uvloop
from typer.testing import CliRunner, Result

from fire22 import app
from fire22.cli import program
from fire22.core.event import Event
from fire22.core.times import to_ms
from fire22.sources.sqlite.install import install
from fire22.sportsbook import domain
from fire22.sportsbook.book.schema import book as book_of
from fire22.sportsbook.book.schema.mapping import read_book_mapping
from tests.integration.inside import make_config, sign, talking, until
from tests.integration.test_http import request
from tests.support.demo_book import told
from tests.support.folding import Folding
from tests.support.harbour import MAP, TREES, Harbour

LOOP_FACTORY = uvloop.new_event_loop
DOMAIN = book_of(read_book_mapping(MAP))


def fire22(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(program, [str(each) for each in arguments])


def lines(result: Result) -> str:
    """What a command said, without its line breaks."""
    return " ".join(result.output.split())


def heard(book: Path) -> list[Event]:
    """What the triggers have told since the last call."""
    connection = apsw.Connection(str(book))
    try:
        return told(connection, DOMAIN)
    finally:
        connection.close()


def holds(document: object, sums: dict[str, float]) -> bool:
    """Whether a document says all of these."""
    return isinstance(document, dict) and all(document.get(name) == value for name, value in sums.items())


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_the_books_own_tables(seed: int, tmp_path: Path) -> None:
    """Connected in the middle of its life: every scope's sums and every balance, whatever the book's program wrote."""
    print(f"seed {seed}")
    book, folding = Harbour(tmp_path / "harbour.db", seed), Folding(domain.flows)
    for _ in range(120):
        book.step()
    install(book.path, DOMAIN.outbox)
    for _ in range(20):
        folding.group(heard(book.path))
        for _ in range(10):
            book.step()
    events = heard(book.path)
    # Only a settlement that is deleted without a word has no time of the book's.
    assert all(to_ms(each.timestamp) <= book.now_s * 1000 for each in events if each.type != "wager.reopened")
    folding.group(events)
    folding.clock(book.now_s * 1000)
    for second in range(1, 5):  # so that no document waits
        folding.clock((book.now_s + second) * 1000)
    assert [(each.type, each.reason) for each in folding.refused] == []
    for scope in ("/", *TREES):
        said = folding.documents["kpi", scope, ""]
        assert {name: said[name] for name in book.sums(scope)} == book.sums(scope), scope
    owed = {
        f"{tree}/@{ref}": micro / 1_000_000
        for tree, ref, micro in book.rows(
            "SELECT a.tree, p.ref, p.owed FROM punters p JOIN sub_accounts a ON a.id = p.sub_account"
        )
    }
    shown = {scope: body["balance"] for (topic, scope, _), body in folding.documents.items() if topic == "balances"}
    assert shown == owed
    assert all(book.sums("/").values())
    book.close()


def test_every_value_that_cannot_be_mapped_is_said_before_anything_is_installed(tmp_path: Path) -> None:
    """An engineer reads each of them, with its place, count and an example; corrected, the triggers come."""
    book, data = Harbour(tmp_path / "harbour.db"), tmp_path / "data"
    for _ in range(5):
        book.strike()
        book.pay_out()
    check = ("check", "--data", data, "--book", book.path, "--mapping", MAP)
    assert "values: ok" in lines(fire22(*check))
    assert "install-triggers" in lines(fire22(*check))
    wrong = {
        "UPDATE prices SET price = '5-2' WHERE id = 1": "price) = '5-2' is no price above 1 (1 row, such as 1)",
        "UPDATE prices SET price = '5/2x' WHERE id = 2": "price) = '5/2x' is no price above 1",
        "UPDATE prices SET price = '5/0' WHERE id = 3": "price) = '5/0' is no price above 1",
        "UPDATE prices SET price = 'SP' WHERE id = 4": "price) = 'SP' is no price above 1",
        "UPDATE boards SET most_loss = 12345 WHERE id = 1": "boards.most_loss = 12345 has a fraction of a minor unit",
        "UPDATE boards SET fixture = 7 WHERE id = 2": "boards.fixture = 7 is none of the events",
        "UPDATE boards SET changed_s = 1782900000000 WHERE id = 3": "changed_s = 1782900000000 is no time after 1970",
        "UPDATE fixtures SET off_s = 0": "fixtures.off_s = 0 is no time after 1970",
        "UPDATE punters SET ref = 'p1' WHERE id < 3": "punters.ref = 'p1' is there more than once (2 rows, such as 1)",
        "UPDATE punters SET credit = '1.2.3' WHERE id = 4": "punters.credit = '1.2.3' is no amount",
        "UPDATE sub_accounts SET tree = 'MOLE' WHERE id = 4": "sub_accounts.tree = 'MOLE' is no path of agents",
        "UPDATE lines SET board = 9 WHERE slip = 's1'": "lines.board = 9 is none of the markets",
        "UPDATE lines SET odds = 1 WHERE slip = 's2'": "lines.odds = 1.0 is no price above 1",
        "UPDATE slips SET state = 7 WHERE id = 's3'": "slips.state = 7 is not mapped (1 row, such as 's3')",
        "UPDATE slips SET stake = -50000 WHERE id = 's4'": "slips.stake = -50000 is an amount that cannot be",
        "INSERT INTO payouts VALUES('s0', 1, 'W', 10000, 1)": "payouts.slip = 's0' is none of the wagers",
    }  # fmt: skip
    for sql in wrong:
        book.run(sql)
    before = book.path.read_bytes()
    for arguments in (check, ("install-triggers", book.path, "--mapping", MAP)):
        said = fire22(*arguments)
        assert said.exit_code == 1
        assert "error code: mapping_invalid" in said.output
        assert [each for each in wrong.values() if each not in lines(said)] == []
    assert book.path.read_bytes() == before
    book.close()


@pytest.mark.asyncio
async def test_a_mapped_book_is_followed_from_the_first_slip_on(tmp_path: Path) -> None:
    """Checked, connected and served as the README says; its slips come on the stream, and the figures follow."""
    book, data = Harbour(tmp_path / "harbour.db"), tmp_path / "data"
    for _ in range(60):
        book.step()
    assert "brings in the rows that are there" in lines(fire22("install-triggers", book.path, "--mapping", MAP))
    checked = fire22("check", "--data", data, "--book", book.path, "--mapping", MAP)
    assert (checked.exit_code, "triggers are in place" in checked.output) == (0, True)
    config = make_config(data, book.path, book={"mapping": str(MAP)})
    async with app.running(config) as server:
        await until(lambda: server.delivery.knows_scope("/QUAY/PIER"))
        async with talking(server) as talk:
            await talk.ask("subscribe", target="wagers")
            book.strike()
            ((punter, stake, wins, state),) = book.rows(
                "SELECT p.ref, s.stake, s.wins, s.state FROM slips s JOIN punters p ON p.id = s.punter WHERE s.id = ?",
                f"s{book.slips}",
            )
            told = (await talk.update()).data
            assert isinstance(told, dict)
            assert (told["wagerId"], told["action"], state) == (f"s{book.slips}", "placed", 1)
            assert (told["customerId"], told["amount"], told["toWin"]) == (punter, stake / 10**6, wins / 10**6)
            book.forget()
            book.roll_back()
            rolled_back = (await talk.update()).data
            assert isinstance(rolled_back, dict)
            assert rolled_back["status"] == "accepted"
        sums = book.sums("/QUAY")
        async with talking(server, token=sign(server, role="master", scope="/QUAY")) as own:
            await own.ask("subscribe", target="kpi")
            await own.message(lambda message: holds(message.data, sums))
        assert server.engine.letters.open == 0
        assert (await request(server, "GET", "/v1/session")).json[
            "commands"
        ] == []  # it knows no way to write this book
        await until(lambda: server.shows_all)
    compared = lines(fire22("check", "--data", data, "--book", book.path, "--mapping", MAP, "--reconcile"))
    assert "every row is known as it is" in compared
    assert "customers and markets: ok" in compared
    book.close()


@pytest.mark.asyncio
async def test_a_mapped_book_may_bring_its_own_clock(tmp_path: Path) -> None:
    """The watermark is the latest time that the book's table of the clock has said, and goes no further by itself."""
    book, data, own = Harbour(tmp_path / "harbour.db"), tmp_path / "data", tmp_path / "recorded.toml"
    own.write_text(
        MAP.read_text().replace('name = "harbour"', 'name = "harbour"\nclock = "recorded"')
        + '\n[tables.clock]\ntable = "bells"\n[tables.clock.columns]\nat = "at_s"\n'
    )
    book.run("CREATE TABLE bells(at_s INTEGER)")

    def ring(after_s: int) -> int:
        book.run("INSERT INTO bells VALUES(?)", book.now_s + after_s)
        return 1000 * (book.now_s + after_s)

    for _ in range(20):
        book.step()
    ring(-60)
    told_ms = ring(0)
    ring(-30)
    assert "brings in the rows that are there" in lines(fire22("install-triggers", book.path, "--mapping", own))
    async with app.running(make_config(data, book.path, book={"mapping": str(own)})) as server:
        assert server.sources[0].status().recorded
        await until(lambda: server.delivery.watermark_ms == told_ms)
        async with talking(server) as talk:
            await talk.ask("subscribe", target="wagers")
            book.strike()
            assert isinstance((await talk.update()).data, dict)
            assert server.delivery.watermark_ms == told_ms
            told_ms = ring(1)
            ring(-10)
            await until(lambda: server.delivery.watermark_ms == told_ms)
        await until(lambda: server.shows_all)
        assert server.engine.letters.open == 0
    compared = lines(fire22("check", "--data", data, "--book", book.path, "--mapping", own, "--reconcile"))
    assert "every row is known as it is" in compared
    assert "customers and markets: ok" in compared
    book.close()
