"""How often an archived document of a period was restated.

The first document of a period and scope has revision 1 and is archived when the period ends. A scope without anything
in it has none then; what comes late makes its revision 2.
"""

from fire22.flows.base import Table


class Revisions:
    """Numbers what is restated; only periods that can be restated are remembered.

    Args:
        table: of the flow that owns it; the key is `<first day>|<name>`.
    """

    def __init__(self, table: Table[int]) -> None:
        self._table = table

    def next(self, first: int, name: str) -> int:
        """The number of the next revision of an ended period."""
        key = f"{first}|{name}"
        revision = (self._table.get(key) or 1) + 1
        self._table.put(key, revision)
        return revision

    def forget(self, before: int) -> None:
        """Forget the periods that began before a day; none of them is restated again."""
        for key in sorted(key for key, _ in self._table if int(key.partition("|")[0]) < before):
            self._table.pop(key)
