"""What storage would hold of an engine's batches, in memory: for who folds a log without a feed to write to."""

from collections.abc import Iterator

from fire22.feed.base import Batch, StateRow
from fire22.flows.engine import Engine
from fire22.log.base import Group


class Replica:
    """The flows' rows as of the last batch.

    Args:
        engine: folds the groups; it has folded nothing yet.
    """

    def __init__(self, engine: Engine) -> None:
        self.rows: dict[tuple[str, str], bytes] = {}
        self._engine = engine

    def fold(self, group: Group) -> Batch:
        """Fold a whole group, as a server does."""
        folded = self._engine.fold_group(group, self._stored)
        for table, key, value in folded.each_row():
            if value is None:
                self.rows.pop((table, key), None)
            else:
                self.rows[table, key] = value
        return folded.batch

    def _stored(self) -> Iterator[StateRow]:
        # Those of one table come together, as from storage.
        return ((table, key, self.rows[table, key]) for table, key in sorted(self.rows))
