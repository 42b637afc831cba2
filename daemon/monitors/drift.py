"""Drift of shares: how far a window stands from a reference, next to what chance alone does.

Both statistics are sums over the same bins. Without drift PSI follows (1/n + 1/m) chi2 with
bins - 1 degrees of freedom (arXiv 2307.11878), so one fixed threshold alarms always for few rows
and never for many. The critical value grows and shrinks with both sizes; the ratio of the two
says the same for every size: above 1 is more than chance. The law is that of independent rows:
repeats make traffic scatter more than it allows for, quotas make kept rows scatter less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from buffers import exact

LEAST_EXPECTED = 5  # rows per bin under which chi2 is no good law (Cochran, Biometrics 10, 1954)
SMOOTHING = 0.5  # added to every bin: no logarithm of 0 (Jeffreys' prior)
Z999 = 3.090232306167813  # one-sided 99.9 % quantile of the standard normal
LN2 = 0.6931471805599453
PSI_PER_JS = 8.0  # near equal shares PSI = 8 x the Jensen-Shannon divergence in nats (Lin 1991)

Counts = Mapping[str, int]
Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


class Drift(NamedTuple):
    """Two distances with the values that chance alone exceeds once in a thousand windows."""

    psi: float  # in nats, >= 0
    psi_critical: float
    js: float  # Jensen-Shannon distance in [0, 1]: the root of the divergence in bits
    js_critical: float  # above 1 where there are too few rows to tell anything
    rows: int  # n, of the window
    reference_rows: int  # m
    bins: int


class Window(NamedTuple):
    """What one closed window says of its shares. Counts by name; names of one closed list."""

    edition: int
    cold: bool  # nothing was balanced in it: no window to compare with, and none to compare
    kept: Counts
    traffic: Counts


class Reference(NamedTuple):
    """The first warm windows of an edition, added up."""

    edition: int
    windows: int
    kept: Counts
    traffic: Counts


def extend(before: Reference | None, window: Window, most_windows: int) -> Reference:
    """The reference for the windows after `window`.

    Another edition selects otherwise, so it begins anew. Once `most_windows` are in, it stays:
    a reference that moves along would follow a slow drift and never see it.
    """
    if before is None or before.edition != window.edition:
        before = Reference(window.edition, 0, {}, {})
    if window.cold or before.windows >= most_windows:
        return before
    return Reference(
        before.edition,
        before.windows + 1,
        _added(before.kept, window.kept),
        _added(before.traffic, window.traffic),
    )


def _added(a: Counts, b: Counts) -> Counts:
    return {name: a.get(name, 0) + b.get(name, 0) for name in sorted({*a, *b})}


def compare(now: Counts, reference: Counts, z: float = Z999) -> Drift | None:
    """Drift of counts by name; None where fewer than two bins can be filled.

    `z` is the one-sided normal quantile of 1 - the false alarms per window that are accepted.
    """
    ours, theirs = binned(now, reference)
    bins, n, m = len(ours), _total(ours), _total(theirs)
    if bins < 2:
        return None
    q, p = _shares(ours), _shares(theirs)
    critical = (1 / n + 1 / m) * chi2_quantile(bins - 1, z)
    js_critical = math.sqrt(critical / PSI_PER_JS / LN2)
    return Drift(psi(q, p), critical, js(q, p), js_critical, n, m, bins)


def binned(now: Counts, reference: Counts) -> tuple[Int64s, Int64s]:
    """Counts of both, bin by bin, (bins,) each; empty where one of them is.

    Names of which either side expects fewer than LEAST_EXPECTED rows share the last bin, and so
    do names that the reference has never seen.
    """
    n, m = _total(list(now.values())), _total(list(reference.values()))
    if not n or not m:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    wanted, smaller = LEAST_EXPECTED * m, min(n, m)
    own = sorted(reference, key=lambda name: (-reference[name], name))
    own = [name for name in own if reference[name] * smaller >= wanted]
    while own and (left := _left(now, reference, own)) != (0, 0) and left[1] * smaller < wanted:
        own.pop()
    left = _left(now, reference, own)
    pairs = [(now.get(name, 0), reference[name]) for name in own]
    pairs += [left] if left != (0, 0) else []
    columns = np.array(pairs, np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _left(now: Counts, reference: Counts, own: list[str]) -> tuple[int, int]:
    """Rows of both sides outside of the names that have a bin of their own."""
    ours, theirs = ([side.get(name, 0) for name in own] for side in (now, reference))
    return (
        _total(list(now.values())) - _total(ours),
        _total(list(reference.values())) - _total(theirs),
    )


def _total(counts: Int64s | list[int]) -> int:
    return int(np.asarray(counts, np.int64).sum(dtype=np.int64))


def _shares(counts: Int64s) -> Float64s:
    """(bins,) shares > 0 that sum to 1."""
    smoothed = counts.astype(np.float64) + SMOOTHING
    return smoothed / (_total(counts) + SMOOTHING * len(counts))


def psi(q: Float64s, p: Float64s) -> float:
    """Population stability index of shares > 0: the sum of (q - p) ln(q / p)."""
    return max(0.0, math.fsum(((q - p) * exact.ln(q / p)).tolist()))


def js(q: Float64s, p: Float64s) -> float:
    """Jensen-Shannon distance of shares > 0: the root of the divergence in bits, in [0, 1]."""
    middle = (q + p) / 2
    nats = math.fsum([*(q * exact.ln(q / middle)).tolist(), *(p * exact.ln(p / middle)).tolist()])
    return math.sqrt(min(1.0, max(0.0, nats / 2 / LN2)))


def chi2_quantile(freedom: int, z: float) -> float:
    """Quantile of chi2 by the cube of a normal (Wilson and Hilferty, PNAS 17, 1931).

    Within 3.1 % from the 95 % to the 99.9 % quantile; within 0.6 % from ten degrees of freedom on.
    """
    step = 2 / (9 * freedom)
    return freedom * (1 - step + z * math.sqrt(step)) ** 3
