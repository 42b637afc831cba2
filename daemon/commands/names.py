"""Names that somebody types: of utterances and of users, as records say them."""

from __future__ import annotations

from collections.abc import Iterable

from daemon.ports import EXIT_CONFIG, Fatal


def check(names: Iterable[str]) -> None:
    """Raises Fatal where a name holds bytes that no record can: records are JSON, in UTF-8."""
    try:
        for name in names:
            name.encode()
    except UnicodeEncodeError:
        hint = "no record has such an id or user: copy it from the record, or set a UTF-8 locale"
        raise Fatal("a name is no UTF-8", code=EXIT_CONFIG, hint=hint) from None
