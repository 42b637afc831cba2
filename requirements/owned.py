"""Fail unless our top-level packages come from our distribution, and from no other.

Their names are plain words. `python-daemon`, for one, installs a package `daemon` too, and pip lets
the later of the two overwrite the earlier without a word.
"""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions

OURS = ("buffers", "daemon", "scoring")
DISTRIBUTION = "utterance-sluice"


def main() -> int:
    """Exit code: 0, or 1 with a line for each name that is not ours alone."""
    found = packages_distributions()
    code = 0
    for name in OURS:
        owners = sorted(set(found.get(name, [])))
        if owners != [DISTRIBUTION]:
            sys.stderr.write(f"{name} comes from {owners or 'nowhere'}, not from {DISTRIBUTION}\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
