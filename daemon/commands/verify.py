"""sluice verify: does a shard follow from what it names? Prints a line for each grade it could do.

    sluice verify last
    sluice verify 5698443 --grade ledger

Grades: `manifest` (the rows are those published), `ledger` (the decisions give the parts, the
parts the shard; on any CPU), `log` (the log gives the decisions; same engine and CPU level).
Exit 0: identical. Exit 78: it differs, and the first difference is named.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager

from daemon.commands.session import Session, config_argument, open_session
from daemon.console import Console
from daemon.derived import ranges, verify
from daemon.derived.ranges import Ranges
from daemon.ports import EXIT_OK, EXIT_STATE
from daemon.registry import versions


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("shard", metavar="SHARD", help="a window, a path that names it, or `last`")
    parser.add_argument("--grade", choices=verify.GRADES, help="only this one (default: all)")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    history = session.history()
    manifest = versions.newest(session.registry, session.window(arguments.shard))
    findings = []
    for grade in verify.GRADES if arguments.grade is None else (arguments.grade,):
        if grade == "manifest":
            findings.append(verify.verify_manifest(history, manifest))
        elif grade == "ledger":
            findings.append(verify.verify_ledger(history, manifest))
        else:
            with log(session) as read:
                findings.append(verify.verify_log(history, manifest, read))
    for finding in findings:
        word = "identical" if finding.identical else "DIFFERS"
        console.write(f"{finding.grade}: {word} ({finding.detail})\n")
    return EXIT_OK if all(finding.identical for finding in findings) else EXIT_STATE


@contextmanager
def log(session: Session) -> Iterator[Ranges]:
    """Ranges of the configured source's log. A live one is read beside those who run."""
    spec = session.config.source
    if spec.kind == "kafka":
        from daemon.kafka.configured import options_of
        from daemon.kafka.extract import Extract

        with Extract(options_of(spec), session.clock) as extract:
            yield extract.read
        return
    with closing(session.source()) as source:
        yield ranges.of(source)
