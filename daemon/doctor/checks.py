"""Whether a deployment is well: each check is one line, and what is not well has a hint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from daemon.commands.session import Session, look
from daemon.config import sanity
from daemon.lanes.window import NO_TIME
from daemon.learning.edition import Edition
from daemon.ports import EXIT_STATE, Fatal, Missing, Retry
from daemon.stores import prove

OK, NOTE, NOT_OK = "ok", "note", "not ok"


class Check(NamedTuple):
    """One line of the doctor. `verdict`: OK, NOTE or NOT_OK."""

    name: str
    verdict: str
    detail: str


def checks(session: Session) -> Iterator[Check]:
    """All of them, in the order in which one builds upon another."""
    yield from _settings(session)
    for name, check in (
        ("store", _store), ("secret", _secret), ("edition", _edition), ("checkpoint", _checkpoint),
        ("clock", _clock),
    ):  # fmt: skip
        yield _guarded(name, check, session)


def _guarded(name: str, check: Callable[[Session], str], session: Session) -> Check:
    try:
        return Check(name, OK, check(session))
    except Fatal as error:
        return Check(name, NOT_OK, str(error))
    except Missing as error:
        return Check(name, NOT_OK, f"the store has no object {error}")
    except Retry as error:
        return Check(name, NOT_OK, f"{error}. Is it there, and may this user reach it?")


def _settings(session: Session) -> Iterator[Check]:
    """What `sluice config check` says."""
    seen = look(session.config)
    wrong = [line for line, fault in seen if fault]
    yield from (Check("settings", NOT_OK, line) for line in wrong)
    if not wrong:
        kinds = f"{session.config.source.kind} -> {session.config.store.kind}"
        yield Check("settings", OK, f"{kinds}, {len(session.config.policy.scores)} scores")
    notes = [*sanity.advice(session.config), *(line for line, fault in seen if not fault)]
    yield from (Check("settings", NOTE, line) for line in notes)


def _store(session: Session) -> str:
    prove(session.registry.store)
    return "an object was written, found again, and a second create of its name refused"


def _secret(session: Session) -> str:
    key = session.key
    if session.registry.genesis is None:
        return f"{len(key)} bytes; no run has begun with it yet"
    session.check()
    return f"{len(key)} bytes, the secret that this store was begun with"


def newest(session: Session) -> Edition:
    """The edition that windows to come will be decided by. Raises Fatal."""
    registry = session.registry
    registry.read_editions()
    if not registry.editions:
        raise Fatal(
            "nothing is published", code=EXIT_STATE, hint="`sluice publish FOLDER` makes an edition"
        )
    return registry.editions[max(registry.editions)]


def _edition(session: Session) -> str:
    edition = newest(session)
    if edition.policy != session.config.policy:
        return f"{edition.number}; the policy of the configuration is another, and not published"
    return f"{edition.number}, with the policy of the configuration"


def _checkpoint(session: Session) -> str:
    engine = session.engines.of(newest(session))
    second = " and those of the second stage" if engine.second else ""
    return (
        f"{engine.edition.checkpoint[:12]} of {len(engine.model.classes)} classes loads, gives "
        f"texts the same scores in any batch, and feeds its scores{second}"
    )


def _clock(session: Session) -> str:
    now = session.clock.now()
    shown = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
    genesis = session.registry.genesis
    if genesis is None:
        return f"{shown}; no part says what the time is elsewhere"
    progress = session.registry.start()
    times = [part.time_ms for part in progress.newest.values()]
    latest = max(times, default=NO_TIME)
    if latest == NO_TIME:
        return f"{shown}; no part says what the time is elsewhere"
    ahead = latest / 1000 - now
    allowed = session.config.process.ahead_ms(genesis.grace * genesis.period_ms) / 1000
    if ahead > allowed:
        raise Fatal(
            f"records lie {ahead:.0f} s ahead of the clock here, {shown}",
            code=EXIT_STATE,
            hint="live lanes would be paused: set the clock (NTP), here or where records are made",
        )
    return (
        f"{shown}, {-ahead:.0f} s behind the newest part"
        if ahead > 0
        else (f"{shown}, {-ahead:.0f} s after the newest record of a part")
    )
