"""sluice report: a shard as one page for people: what came in, what was kept, what is doubtful.

    sluice report last
    sluice report 5698443 -o shard.html --windows 100
    sluice report last --no-texts -o - > shard.html

One HTML file that loads nothing. It shows utterances: treat it like the data, or leave the texts
out with --no-texts. The same shard gives the same page, byte for byte.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from daemon.commands.session import Session, config_argument, count, open_session
from daemon.console import Console
from daemon.ports import EXIT_OK, EXIT_WRITE, Fatal, Missing
from daemon.registry import versions
from daemon.registry.registry import Registry
from daemon.report import render
from daemon.shards import shard
from daemon.shards.shard import ShardManifest

WINDOWS = 48  # shards of the time lines, the reported one included
OUTPUT = "-"


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("shard", metavar="SHARD", help="a window, a path that names it, or `last`")
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="default: shard-WINDOW.html; - is standard output"
    )
    parser.add_argument(
        "--windows", type=count(1), default=WINDOWS, metavar="N",
        help=f"shards of history (default: {WINDOWS})",
    )  # fmt: skip
    parser.add_argument("--no-texts", action="store_true", help="leave out what was said")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    session.check()
    window = session.window(arguments.shard)
    texts = not arguments.no_texts
    if arguments.out == OUTPUT:
        console.write(page(session, window, windows=arguments.windows, texts=texts))
        return EXIT_OK
    path = Path(arguments.out or f"shard-{window}.html")
    write(session, str(window), path, windows=arguments.windows, texts=texts)
    console.write(f"wrote {path}\n")
    return EXIT_OK


def write(
    session: Session, name: str, path: Path, *, windows: int = WINDOWS, texts: bool = True
) -> None:
    """Write the page of a shard: a window, a path that names it, or `last`. Raises Fatal."""
    made = page(session, session.window(name), windows=windows, texts=texts)
    try:
        path.write_text(made, encoding="utf-8", newline="\n")
    except OSError as error:
        raise Fatal(
            f"cannot write {path}: {error.strerror}",
            code=EXIT_WRITE,
            hint="name another file with -o",
        ) from None


def page(session: Session, window: int, *, windows: int = WINDOWS, texts: bool = True) -> str:
    """The page of a window's shard. Raises Fatal, Missing."""
    registry = session.registry
    assert registry.genesis is not None  # the session was checked
    manifest, rows = versions.newest_rows(registry, window)
    earlier = [m for w in _before(registry, window, windows - 1) if (m := _manifest(registry, w))]
    return render(manifest, rows if texts else None, earlier, period_ms=registry.genesis.period_ms)


def _before(registry: Registry, window: int, count: int) -> list[int]:
    """The newest `count` windows before this one that have a shard."""
    known = shard.windows(registry.store.list(shard.PREFIX))
    return sorted(w for w in known if w < window)[-count:] if count else []


def _manifest(registry: Registry, window: int) -> ShardManifest | None:
    """None for what retention took since it was listed."""
    try:
        return registry.manifest(window)
    except Missing:
        return None
