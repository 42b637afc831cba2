"""Which instructions this CPU has: last bits of a score differ between levels (law 7)."""

from __future__ import annotations

import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_LEVELS = (("amx_tile", "amx"), ("avx512f", "avx512"), ("avx2", "avx2"))  # best first


def level_of(flags: frozenset[str], machine: str) -> str:
    """Name of the best known level among CPU flags, else the machine's architecture."""
    for flag, level in _LEVELS:
        if flag in flags:
            return level
    return machine.lower()


def cpu_level(cpuinfo: Path = _CPUINFO) -> str:
    """Level of the CPU we run on: "amx", "avx512", "avx2", or e.g. "aarch64"."""
    flags: set[str] = set()
    try:
        with cpuinfo.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    flags.update(value.split())
                    break
    except OSError:
        pass  # no procfs (macOS, Windows): the architecture has to do
    return level_of(frozenset(flags), platform.machine())
