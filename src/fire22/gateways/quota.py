"""How many connections one user, or one address, holds."""


class Quota:
    """Counts what each holder has.

    Args:
        each_max: what one may have; 0 is no limit, and then nothing is counted.
    """

    def __init__(self, each_max: int) -> None:
        self.each_max = each_max
        self._held: dict[str, int] = {}

    def is_full(self, holder: str) -> bool:
        """Whether a holder has all it may."""
        return 0 < self.each_max <= self.held(holder)

    def held(self, holder: str) -> int:
        """What a holder has."""
        return self._held.get(holder, 0)

    def take(self, holder: str) -> None:
        """A holder has one more; `is_full` was asked before."""
        if self.each_max:
            self._held[holder] = self.held(holder) + 1

    def release(self, holder: str) -> None:
        """A holder has one less."""
        if not self.each_max:
            return
        left = self._held.pop(holder) - 1
        if left:
            self._held[holder] = left
