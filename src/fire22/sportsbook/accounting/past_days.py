"""The sheets of days whose cells have been put away: one for each agent and day, which stay encoded, also in memory."""

from collections.abc import Iterable

from fire22.flows.base import Table
from fire22.sportsbook.accounting.customer_day import AgentDay, CustomerDay, decode_agent_day, encode_agent_day


class PastDays:
    """Every sheet that is kept; days by their ordinal."""

    def __init__(self) -> None:
        self.table: Table[bytes] = Table("sheet", bytes)
        self._open: dict[tuple[int, str], AgentDay] = {}  # those that are being written to
        self._paths: dict[int, dict[str, None]] = {}

    def loaded(self) -> None:
        """Derive which there are."""
        for key, _ in self.table:
            day, _, path = key.partition("|")
            self._paths.setdefault(int(day), {})[path] = None

    def paths(self, day: int) -> Iterable[str]:
        """The agents with a sheet of a day."""
        return self._paths.get(day, ())

    def get(self, day: int, path: str) -> AgentDay:
        """A sheet as it was last settled; empty where there is none."""
        kept = self.table.get(f"{day}|{path}")
        return decode_agent_day(kept) if kept is not None else {}

    def put(self, day: int, path: str, sheet: AgentDay) -> None:
        """Add or replace a sheet."""
        self.table.put(f"{day}|{path}", encode_agent_day(sheet))
        self._paths.setdefault(day, {})[path] = None

    def cell(self, day: int, path: str, customer: str) -> CustomerDay:
        """A cell to be changed; it counts once the sheets are settled."""
        sheet = self._open.get((day, path))
        if sheet is None:
            sheet = self._open[day, path] = self.get(day, path)
        cell = sheet.get(customer)
        if cell is None:
            cell = sheet[customer] = CustomerDay()
        return cell

    def rename(self, path: str, customer: str, to: str) -> None:
        """An agent's customer has another code."""
        self.settle()
        for day in sorted(self._paths):
            sheet = self.get(day, path)
            if customer in sheet:
                sheet[to] = sheet.pop(customer)
                self.put(day, path, sheet)

    def settle(self) -> None:
        """Take in the cells that were changed."""
        for (day, path), sheet in self._open.items():
            self.put(day, path, sheet)
        self._open = {}

    def drop(self, before: int) -> None:
        """Forget the days before one."""
        for day in sorted(day for day in self._paths if day < before):
            for path in sorted(self._paths.pop(day)):
                self.table.pop(f"{day}|{path}")
