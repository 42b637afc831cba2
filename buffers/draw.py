"""The only randomness there is: a keyed hash of who the record is (law 2).

identity -> draw -> log-rank, each a pure function, so whoever meets the same record again
(a repeat, a replay, another lane) gets the same rank. Ranks are exponential: the smallest k of
-ln(u) / weight are a weighted sample without replacement (Efraimidis and Spirakis 2006), and
1 - exp(-weight * tau) is the inclusion probability given tau (rank conditioning, Cohen and
Kaplan 2008). A key has 1 to 64 bytes (BLAKE2b, RFC 7693; ValueError above); with an empty one
everything still works, but anybody can foretell the draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from buffers import exact
from buffers.base import NEVER, Ids, Int64s

WEIGHT_UNIT = 4096  # weights are integers in 1..WEIGHT_UNIT: a weight of 1.0 is WEIGHT_UNIT
RANK_UNIT = 1 << 40  # steps of a log-rank per unit of ln

Uint64s = npt.NDArray[np.uint64]
Float64s = npt.NDArray[np.float64]


def _ln_weights() -> Int64s:
    """(WEIGHT_UNIT + 1,) ln(w / WEIGHT_UNIT) in rank steps, to the nearest; entry 0 is unused."""
    shares = np.maximum(np.arange(WEIGHT_UNIT + 1), 1) / WEIGHT_UNIT
    return np.floor(exact.ln(shares) * RANK_UNIT + 0.5).astype(np.int64)


LN_WEIGHTS = _ln_weights()
LN_WEIGHTS.flags.writeable = False


def identity(key: bytes, domain: str, texts: Sequence[str]) -> Ids:
    """(n, 2) uint64: 128 bits per text that only holders of the key can compute.

    Equal texts of different domains are different identities. UnicodeEncodeError for lone
    surrogates.
    """
    # The hash of the domain is the key of the texts, so no separator can be forged.
    start = hashlib.blake2b(key=_subkey(key, b"sluice.identity", domain.encode()), digest_size=16)
    copy = start.copy
    digests = []
    for text in texts:
        state = copy()  # the key's block is set up once
        state.update(text.encode())
        digests.append(state.digest())
    words = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2)
    return words.astype(np.uint64)


def draw(ids: Ids, purpose: str, epoch: int, key: bytes) -> Uint64s:
    """(n,) uniform 64 bits per identity; other purposes, epochs or keys draw independently.

    `epoch` fits in a signed 64-bit integer (OverflowError otherwise).
    """
    message = epoch.to_bytes(8, "big", signed=True) + purpose.encode()
    seeds = np.frombuffer(_subkey(key, b"sluice.draw", message), ">u8").astype(np.uint64)
    # Each round is a bijection of the word that it takes in, so no bit of an identity is lost
    # before the last round folds 128 bits into 64.
    mixed = _mix(ids[:, 0] ^ seeds[0])
    mixed = _mix(mixed + (ids[:, 1] ^ seeds[1]))
    return _mix(mixed ^ seeds[2])


def log_rank(draws: Uint64s, weights: npt.NDArray[np.integer]) -> Int64s:
    """(n,) ln(-ln(u) / weight) in steps of 1 / RANK_UNIT; small is good.

    `weights` (n,) or scalar, in 1..WEIGHT_UNIT (ValueError otherwise). u is the middle of one of
    2**52 equal steps of (0, 1), so never 0 or 1, and exact as a double.
    """
    u = ((draws >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    steps = np.floor(exact.ln(-exact.ln(u)) * RANK_UNIT).astype(np.int64)
    steps -= LN_WEIGHTS[_checked(weights)]
    return steps


def inclusion(weights: npt.NDArray[np.integer], log_taus: Int64s) -> Float64s:
    """(n,) probability that a row of this weight was kept, in (0, 1]; 1.0 where tau is NEVER.

    `log_taus` (n,) is the tau of each row's group. Unbiased totals divide by it.
    """
    never = log_taus == NEVER
    # ln(weight * tau) in steps, added as integers: the same way round as log_rank took it off.
    steps = np.where(never, 0, log_taus) + LN_WEIGHTS[_checked(weights)]
    kept = exact.one_minus_exp(-exact.exp(steps / RANK_UNIT))
    return np.where(never, 1.0, kept)


def name_hash(key: bytes, name: str) -> int:
    """Uniform 64 bits of a group's name: orders groups fairly where slot keys tie."""
    return int.from_bytes(_subkey(key, b"sluice.name", name.encode())[:8], "big")


def _subkey(key: bytes, person: bytes, message: bytes) -> bytes:
    """32 bytes; `person` (up to 16 bytes) parts the uses of one key."""
    return hashlib.blake2b(message, key=key, person=person, digest_size=32).digest()


def _mix(words: Uint64s) -> Uint64s:
    """A bijection in which every input bit moves every output bit.

    Stafford's mix 13 of the murmur3 finaliser, as in SplitMix64 (Steele, Lea, Flood 2014).
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _checked(weights: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    weights = np.asarray(weights)
    if weights.size and not (weights.min() >= 1 and weights.max() <= WEIGHT_UNIT):
        raise ValueError(f"weights are integers in 1..{WEIGHT_UNIT}")
    return weights
