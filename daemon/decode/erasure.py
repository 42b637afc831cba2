"""Records of erasure lanes: one utterance by its id, or all that a user said.

    {"id": "a-1"}    {"user": "u-7"}

No policy decides here: a request is kept before the pin that reads it is known, and must be read
alike by every edition. What it names is hashed at once with the deployment's key, as ids and users
of utterances are; nothing else of it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from buffers import draw
from daemon.decode.fields import as_name, name_type
from daemon.decode.leaves import Field, Reader
from daemon.decode.utterance import pseudonym
from daemon.policy import Limits
from scoring.types import Reason

LIMITS = Limits(id_chars=65_536)  # as long as any policy could allow
NOBODY = (0, 0)  # in the place of an id that is not named


class Erasure(NamedTuple):
    """What is to be erased, as keyed hashes. `reason`: why nothing is, "" where something is."""

    id: tuple[int, int] = NOBODY
    user: str = ""
    reason: str = ""


class ErasureDecoder:
    """Decodes the records of erasure lanes. Never raises, whatever the bytes."""

    def __init__(self, key: bytes) -> None:
        self._key, self._pseudonym = key, pseudonym(key)
        name = name_type(LIMITS)
        self._reader = Reader(
            (Field("id", name, Reason.BAD_ID), Field("user", name, Reason.BAD_ID)), LIMITS
        )

    def decode(self, values: Sequence[bytes]) -> list[Erasure]:
        """n record values to n erasures, some of which name nobody and say why.

        A record that names both an id and a user is refused: nobody can say which was meant.
        """
        made: list[Erasure] = []
        named: list[tuple[int, str]] = []
        for value in values:
            leaves = self._reader.read(value)
            found = self._build(*leaves) if isinstance(leaves, tuple) else leaves
            if isinstance(found, str) and not isinstance(found, Reason):
                named.append((len(made), found))
                made.append(Erasure())
            else:
                made.append(Erasure(reason=found.value) if isinstance(found, Reason) else found)
        hashes = draw.identity(self._key, "id", [name for _, name in named])
        for (at, _), (high, low) in zip(named, hashes.astype(np.uint64).tolist(), strict=True):
            made[at] = Erasure(id=(high, low))
        return made

    def _build(self, name: str | int | None, user: str | int | None) -> str | Erasure | Reason:
        """The id as it is, a user's erasure, or why there is neither."""
        given = user if name is None else name
        if given is None:
            return Reason.NO_ID
        known = as_name(given, LIMITS)
        if known is None or (name is not None and user is not None):
            return Reason.BAD_ID
        return known if user is None else Erasure(user=self._pseudonym(known))
