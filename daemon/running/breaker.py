"""The breaker: too many refusals in a row are no bad records, but a schema that has changed."""

from __future__ import annotations

from collections import deque

STEPS = 256  # additions that are kept apart; smaller ones are put together


class Breaker:
    """Watches the share of refused records among the last `records`.

    Whole additions count: of those seen, the fewest newest ones that hold at least `records`.
    Ones of less than 1/STEPS of that are put together, so memory is bounded whatever their size.
    """

    def __init__(self, share: float, records: int) -> None:
        """`share` in [0, 1]: more than this trips. `records` >= 1."""
        self._share, self._least = share, records
        self._step = -(-records // STEPS)
        self._kept: deque[tuple[int, int]] = deque()  # (records, refused), oldest first
        self.records = self.refused = 0  # of those kept

    def add(self, records: int, refused: int) -> None:
        """So many records were read, of which `refused` <= `records` were refused."""
        if self._kept and self._kept[-1][0] + records <= self._step:
            before = self._kept.pop()
            self._kept.append((before[0] + records, before[1] + refused))
        elif records:
            self._kept.append((records, refused))
        self.records += records
        self.refused += refused
        while self._kept and self.records - self._kept[0][0] >= self._least:
            oldest = self._kept.popleft()
            self.records -= oldest[0]
            self.refused -= oldest[1]

    @property
    def tripped(self) -> bool:
        """More than the share was refused; never before `records` were seen."""
        return self.records >= self._least and self.refused > self._share * self.records
