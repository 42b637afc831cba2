"""Make a virtual environment from lock files: `python install.py .venv build.txt demo.txt`.

Needs Python >= 3.11 with its venv module, and nothing else. Every file is checked against the
hash in its lock; the project itself is installed from this checkout, without a build download.
One line shows how far it is; what pip said stands in FOLDER/install.log. FOLDER/ready is written
last, so whoever finds it finds a whole environment.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
PINNED = re.compile(r"^[A-Za-z0-9._-]+==", re.MULTILINE)
MISSING = 69  # EX_UNAVAILABLE of sysexits.h, as the commands of Sluice use it
TAIL = 12  # lines of pip's output that a failure shows


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0, or 69 where something is missing: the venv module, or the network."""
    if importlib.util.find_spec("ensurepip") is None:
        return _fail("this Python cannot make environments: apt install python3-venv")
    folder, locks = Path(arguments[0]), [HERE / name for name in arguments[1:]]
    python = folder / "bin" / "python"
    _say(f"environment {folder}: made once, then kept\n")
    if not _runs(python):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps"]
    with open(folder / "install.log", "w", encoding="utf-8") as log:
        for lock in locks:
            asked = ["--require-hashes", "-r", str(lock)]
            if not _install([*pip, *asked], log, lock):
                return _fail(_last_lines(folder / "install.log"))
        # setuptools came with build.txt, so nothing is fetched to build the project
        if not _install([*pip, "--no-build-isolation", "-e", str(HERE.parent)], log, None):
            return _fail(_last_lines(folder / "install.log"))
    (folder / "ready").touch()
    return 0


def _runs(python: Path) -> bool:
    """Whether an environment is there and its interpreter still is."""
    if not python.exists():
        return False
    call = [str(python), "-c", "import pip"]
    return subprocess.run(call, check=False, capture_output=True).returncode == 0  # noqa: S603


def _install(command: list[str], log: IO[str], lock: Path | None) -> bool:
    """Run pip; count the packages of `lock` on one line as pip comes to them."""
    name = lock.name if lock else "utterance-sluice"
    total = len(PINNED.findall(lock.read_text(encoding="utf-8"))) if lock else 1
    seen = 0
    with subprocess.Popen(  # noqa: S603 - a fixed command
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if line.startswith("Ignoring "):  # its marker says that another platform needs it
                total -= 1
            elif line.startswith(("Collecting ", "Requirement already satisfied", "Obtaining ")):
                seen += 1
                _progress(f"  {name}: {min(seen, total)} of {total} packages")
            elif line.startswith("Installing collected"):
                _progress(f"  {name}: {total} of {total} packages, unpacking")
    log.flush()  # whoever is told of a failure reads the file at once
    _say("\n")
    return process.returncode == 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        _say(f"\r\x1b[K{text}")
    elif text.endswith("unpacking"):  # a log file wants the end, not the way there
        _say(text)


def _last_lines(log: Path) -> str:
    return "\n".join([*log.read_text(encoding="utf-8").splitlines()[-TAIL:], f"all of it: {log}"])


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _fail(message: str) -> int:
    _say(f"install: {message}\n")
    return MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
