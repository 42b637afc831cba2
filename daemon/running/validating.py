"""What label and erasure lanes say that nobody can use: why not, and who says so (law 8).

A shard decodes answers under its own pin, later; that count stands in its manifest. Letters do not
wait for it: they name the edition that decides the record's window, as far as it is known when the
record is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from daemon.decode.decoder import AnswerDecoder
from daemon.lanes.labels import MOST_BYTES
from daemon.lanes.window import Segment
from daemon.learning import edition as editions
from daemon.learning.edition import Edition
from daemon.ports import Batch
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from scoring.types import Reason, Refusal


@dataclass(slots=True, eq=False)
class Validator:
    """Reads what such lanes hold as a shard will read it."""

    registry: Registry
    engines: Engines
    _answers: dict[int, AnswerDecoder] = field(default_factory=dict)  # of the newest edition asked

    def decides(self, window: int) -> Edition | None:
        """The edition of the pin, or before there is one the edition that it would name now."""
        progress, known = self.registry.progress, self.registry.editions
        assert progress is not None
        pin = progress.pins.get(window)
        if pin is not None and pin.edition in known:
            return known[pin.edition]
        return editions.effective(list(known.values()), window)

    def refusals(
        self, kind: str, by: Edition | None, batch: Batch, segment: Segment
    ) -> list[Refusal]:
        """Of a segment: indices into its batch, ascending. A tombstone is no answer, and no fault.

        `by`: whose mapping answers are read with; erasures are read alike under every edition.
        """
        at = [i for i in range(segment.first, segment.end) if batch.values[i] is not None]
        given = [batch.values[i] or b"" for i in at]
        if kind == "erasures":
            reasons = [erasure.reason for erasure in self.engines.erasures.decode(given)]
            return [Refusal(at[i], Reason(why)) for i, why in enumerate(reasons) if why]
        if by is None:
            return []
        return [Refusal(at[r.index], r.reason) for r in self._decoder(by).decode(given).refusals]

    def _decoder(self, by: Edition) -> AnswerDecoder:
        if by.number not in self._answers:
            limits = by.policy.limits  # larger ones are kept as nothing, whatever the policy says
            least = min(limits.value_bytes, MOST_BYTES)
            limits = msgspec.structs.replace(limits, value_bytes=least)
            self._answers = {by.number: AnswerDecoder(by.policy.answer, limits)}
        return self._answers[by.number]
