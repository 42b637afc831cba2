"""Epoch `window`: what a shard has emitted is refused in those that follow, however it is read."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.settings import Stream
from daemon.derived.rolling import roll
from daemon.derived.verify import verify_ledger
from daemon.lanes import part as parts
from daemon.policy import Arms, Groups, Kind, Policy, Quarantine, Rolling
from daemon.ports import Fatal, LaneId, Store
from daemon.registry.registry import Registry
from tests.cases import LABELS, Case, Edition, Schedule
from tests.selection import run, selected, shard_rows
from tests.streams import CLASSES, PERIOD_MS, Record, say, small_policy
from tests.unit.test_verify import changed, fates, grades, history
from tests.worlds import play, shards

LAG = 3
STREAM = Stream(period_ms=PERIOD_MS, grace=0, label_wait=1, lag=LAG)
Windows = dict[int, list[bytes]]
Log = dict[LaneId, list[Record]]


def novel(**changes: Any) -> Policy:
    """Everything that a window holds fits into its pool, but for what is changed."""
    changes = {"capacity_rows": 10, "pool_rows": 60, "rolling": None, **changes}
    return small_policy(**{"epoch": "window", "quarantine": Quarantine(assumed_rate=0), **changes})


def dealt(windows: Windows, lanes: int, seed: int = 0) -> Log:
    """Records of several windows, each to a lane, in any order within its window."""
    rng = random.Random(seed)
    log: Log = {LaneId("u", n): [] for n in range(lanes)}
    for window, values in sorted(windows.items()):
        for value in rng.sample(values, len(values)):
            log[LaneId("u", rng.randrange(lanes))].append((window * PERIOD_MS, value))
    return log


def same_texts(windows: range, texts: int, times: int = 1) -> Windows:
    """Each text `times` times in each window."""
    return {
        w: [say(w * 1_000 + n, f"say {n % texts}") for n in range(texts * times)] for w in windows
    }


def texts(store: Store) -> dict[int, set[str]]:
    return {w: {row["text"] for row in selected(store, w)} for w in sorted(shards(store))}


@pytest.mark.parametrize("lanes", [1, 3])
def test_consecutive_shards_bring_new_rows_until_nothing_is_left(lanes: int) -> None:
    """Also those between, of which the lanes cannot know yet; a constant epoch repeats itself."""
    windows = same_texts(range(5, 11), 40, times=2)
    found = texts(run(dealt(windows, lanes), novel(), stream=STREAM))
    assert [len(one) for one in found.values()] == [10, 10, 10, 10, 0, 0]
    assert set().union(*found.values()) == {f"say {n}" for n in range(40)}
    constant = texts(run(dealt(windows, lanes), novel(epoch="constant"), stream=STREAM))
    assert len(set().union(*constant.values())) < 20


@pytest.mark.parametrize("lanes", [1, 3])
def test_refusals_are_counted_and_are_traffic_all_the_same(lanes: int) -> None:
    windows = same_texts(range(5, 10), 40, times=2)
    store = run(dealt(windows, lanes), novel(), stream=STREAM)
    constant = run(dealt(windows, lanes), novel(epoch="constant"), stream=STREAM)
    check_candidates(store, "pool")
    made = shards(store)
    for window, manifest in made.items():
        lanes_know = 20 * max(0, window - LAG - 4)  # two records of each text
        assert manifest.counts.get("already_emitted", 0) == lanes_know
        reasons = {n: c for n, c in manifest.counts.items() if n not in ("records", "late")}
        assert sum(reasons.values()) == manifest.counts["records"] == 80
        assert manifest.traffic == shards(constant)[window].traffic
        said = manifest.novelty
        assert isinstance(said, msgspec.Struct)
        between = min(window - 5, LAG - 1)  # shards that only the assembler knows of
        assert said.known == 10 * (window - 5) and said.repeats == 10 * between
        assert (said.records, said.emitted) == (20 * between, 10 if window < 9 else 0)
        learnt = manifest.calibration.emitted
        assert isinstance(learnt, tuple) and len(learnt) == min(window - 4, 4)
    assert {row["epoch"] for w in made for row in shard_rows(store, w)} == set(made)


def check_candidates(store: Store, arm: str) -> None:
    """No lane holds a candidate that its pin knows of; until then it may."""
    emitted, old = texts(store), 0
    for name in store.list("parts/u/"):
        part = parts.decode(store.get(name))
        window = part.manifest.window
        held = {t for a, t in zip(part.rows["arm"], part.rows["text"], strict=True) if a == arm}
        assert not held & set().union(*(emitted[w] for w in emitted if w <= window - LAG))
        old += len(held & set().union(*(emitted[w] for w in emitted if w < window)))
    assert old, "what the assembler takes out"


@settings(deadline=None, max_examples=8)
@given(
    st.dictionaries(st.integers(5, 12), st.lists(st.integers(0, 14), min_size=1), min_size=2),
    st.integers(1, 6),
    st.sampled_from([msgspec.UNSET, 1, 2, 4]),
    st.randoms(use_true_random=False),
)
def test_neither_lanes_nor_order_change_what_is_new(
    said: dict[int, list[int]], lanes: int, lifetime: Any, rng: random.Random
) -> None:
    """Law 2 with novelty; and within its lifetime no text is selected twice."""
    policy = novel(capacity_rows=3, pool_rows=5, known_windows=lifetime)
    windows = {
        w: [say(w * 1_000 + n, f"say {t}") for n, t in enumerate(spoken)]
        for w, spoken in said.items()
    }
    outcomes = []
    for split in (1, lanes):
        store = run(dealt(windows, split, rng.randrange(99)), policy, stream=STREAM)
        rows = {
            w: [(r["text"], r["log_rank"], r["multiplicity"], r["inclusion_selected"])
                for r in sorted(selected(store, w), key=lambda row: str(row["text"]))]
            for w in shards(store)
        }  # fmt: skip
        taught = [m.calibration.emitted for m in shards(store).values()]
        counts = [(m.counts, m.novelty) for m in shards(store).values()]
        outcomes.append((rows, taught, counts))
    assert outcomes[0] == outcomes[1]
    last: dict[str, int] = {}
    for window, kept in sorted(outcomes[0][0].items()):
        for text, *_ in kept:
            windows_ago = window - last.get(text, -999)
            assert windows_ago > (288 if lifetime is msgspec.UNSET else lifetime)
            last[text] = window


@pytest.mark.parametrize("lifetime", [1, LAG - 1, LAG, LAG + 1])
def test_a_text_comes_again_when_it_is_forgotten(lifetime: int) -> None:
    """To the window, whether the lanes ever know of it or the assembler alone."""
    policy = novel(known_windows=lifetime)
    found = texts(run(dealt(same_texts(range(5, 11), 8), 2), policy, stream=STREAM))
    again = [8, *[0] * lifetime] * 3
    assert [len(one) for one in found.values()] == again[:6]


def test_windows_in_which_nothing_is_said_count() -> None:
    policy = novel(known_windows=4)
    gap = {**same_texts(range(5, 7), 8), **same_texts(range(40, 42), 8)}
    found = texts(run(dealt(gap, 2), policy, stream=STREAM))
    assert {w: len(one) for w, one in found.items()} == {5: 8, 6: 0, 40: 8, 41: 0}


def test_a_text_is_known_under_whatever_label_it_comes_again() -> None:
    """What is refused is the text, not the key: also among names that share a group."""
    policy = novel(groups=Groups(by=("label", "argmax"), limit=1, support=3))
    names = [*CLASSES, "odd", "odder"]
    windows = {
        w: [say(w * 1_000 + n, f"say {n}", names[(n + w) % 6]) for n in range(8)]
        for w in range(5, 10)
    }
    store = run(dealt(windows, 2), policy, stream=STREAM)
    assert [len(one) for one in texts(store).values()] == [8, 0, 0, 0, 0]
    assert shards(store)[9].counts["already_emitted"] == 8


def test_of_ids_it_is_the_id_that_is_known() -> None:
    policy = novel(identity="id", arms=Arms(3, 3, 3))
    again = [say(n, f"say {n}") for n in range(8)]
    windows = {5: again, 6: again, 9: again, 10: [say(100 + n, f"say {n}") for n in range(8)]}
    store = run(dealt(windows, 2), policy, stream=STREAM)
    assert [len(one) for one in texts(store).values()] == [8, 0, 0, 8]
    for window in (6, 9):  # shown by audit and random alone: their rows had no other chance
        chances: dict[str, set[float]] = {}
        for row in shard_rows(store, window):
            chances.setdefault(str(row["arms"]), set()).add(row["inclusion_probability"])
        assert chances and all(len(one) == 1 and max(one) < 1 for one in chances.values())


def test_audit_and_random_are_samples_of_the_traffic_known_or_not() -> None:
    """By utterance id, before novelty: a head text is audited as often as it is said."""
    policy = novel(arms=Arms(audit_rows=500, random_rows=500, review_rows=5))
    store = run(dealt(same_texts(range(5, 10), 12, times=3), 2), policy, stream=STREAM)
    for window in (5, 9):
        rows = shard_rows(store, window)
        for arm in ("audit", "random"):
            counted = Counter(row["text"] for row in rows if arm in row["arms"])
            assert counted == Counter({f"say {n}": 3 for n in range(12)})
    assert not selected(store, 9)


def test_suspects_are_reviewed_whether_their_text_is_known_or_not() -> None:
    """A policy's refusal comes first: the share of suspects is that of all that is said."""
    policy = novel(quarantine=Quarantine(assumed_rate=0.3, margin=1.0), arms=Arms(6, 8, 60))
    windows = {
        w: [say(w * 1_000 + n, f"say {n % 20}", CLASSES[(n + w) % 4]) for n in range(60)]
        for w in range(5, 10)
    }
    counts = {w: m.counts for w, m in shards(run(dealt(windows, 2), policy, stream=STREAM)).items()}
    plain = novel(epoch="constant", quarantine=policy.quarantine, arms=policy.arms)
    before = {w: m.counts for w, m in shards(run(dealt(windows, 2), plain, stream=STREAM)).items()}
    assert counts[9]["suspect"] == before[9]["suspect"] > 5
    assert counts[9]["already_emitted"] + counts[9]["accepted"] == before[9]["accepted"]


def test_late_labels_bring_nothing_back_that_was_emitted() -> None:
    """Without a label nothing is selected here; with it, once."""
    policy = novel(select=Kind("weighted", {"score": "el2n"}), capacity_rows=6, pool_rows=12)
    windows = same_texts(range(5, 10), 18)
    log = dealt(windows, 2)
    log[LABELS] = [
        ((w + 1) * PERIOD_MS, msgspec.json.encode({"id": f"u{w * 1_000 + n}", "label": "music"}))
        for w in windows
        for n in range(18)
    ]
    store = run(log, policy, stream=STREAM)
    found = texts(store)
    assert [len(one) for one in found.values()][:2] == [6, 6]
    assert Counter(text for one in found.values() for text in one).most_common(1)[0][1] == 1
    check_candidates(store, "waiting")
    assert shards(store)[9].counts == {"records": 18, "late": 0, "no_label": 18}


def test_cold_windows_refuse_what_they_know_too() -> None:
    policy = novel(quarantine=Quarantine(), groups=Groups(by=("label",)))
    store = run(dealt(same_texts(range(5, 10), 30), 2), policy, stream=STREAM)
    assert [m.cold for m in shards(store).values()] == ["no_noise_rate"] * 5
    assert [len(one) for one in texts(store).values()] == [10, 10, 10, 0, 0]


def test_an_edition_without_novelty_forgets_and_rolls_only_its_own_windows() -> None:
    known, plain = novel(), small_policy(rolling=Rolling(windows=3, capacity_rows=12))
    log = dealt(same_texts(range(5, 15), 8), 2)
    kinds = dict.fromkeys(log, "utterances")
    editions = (Edition(known), Edition(plain, 8), Edition(known, 13))
    store = play(Case(log, kinds, STREAM, editions), Schedule())
    taught = {w: m.calibration.emitted for w, m in shards(store).items()}
    assert [w for w, runs in taught.items() if runs is not msgspec.UNSET] == [5, 6, 7, 13, 14]
    sizes = {w: len(one) for w, one in texts(store).items()}
    assert sizes == {5: 8, 6: 0, 7: 0, **dict.fromkeys(range(8, 13), 8), 13: 8, 14: 0}
    assert {w: roll(history(store), w).windows for w in (10, 12)} == {
        10: (8, 9, 10), 12: (10, 11, 12),
    }  # fmt: skip
    for window in (9, 14):
        with pytest.raises(Fatal, match="cannot be rolled"):
            roll(history(store), window)


def test_why_names_the_shard_that_has_it_and_verify_agrees() -> None:
    log = dealt(same_texts(range(5, 9), 12), 2)
    store = run(log, novel(), stream=STREAM)
    where = {text: w for w, one in texts(store).items() for text in one}
    assert set(where.values()) == {5, 6}
    for window in (6, 8):
        for n in range(12):
            (fate,) = fates(store, window * 1_000 + n)
            shard = where[f"say {n}"]
            if fate.verdict == "refused":
                assert fate.detail == f"already emitted in shard {shard}" and shard < window
            assert fate.facts.get("already_emitted_in") == (shard if shard < window else None)
        assert all(finding.identical for finding in grades(store, window, log))


def test_verify_finds_a_run_that_is_not_what_was_emitted() -> None:
    log = dealt(same_texts(range(5, 10), 12), 2)
    store = run(log, novel(), stream=STREAM)
    runs = Registry(store).calibration(6).emitted
    assert isinstance(runs, tuple)
    other = changed(store, runs[0].name, store.get(runs[1].name) * 5)
    with pytest.raises(Fatal, match="missing or damaged"):
        grades(other, 9, log)


def test_an_erased_row_leaves_its_shard_and_its_text_stays_known() -> None:
    """Erasures change nothing that was learnt; nobody else's record takes the place."""
    log = dealt(same_texts(range(5, 10), 12), 2)
    calm = run(log, novel(), stream=STREAM)
    victim = selected(calm, 5)[0]
    asked = LaneId("asked", 0)
    log[asked] = [(5 * PERIOD_MS + 9, msgspec.json.encode({"id": victim["id"]}))]
    kinds = {lane: "erasures" if lane == asked else "utterances" for lane in log}
    store = play(Case(log, kinds, STREAM, (Edition(novel()),)), Schedule())
    left = texts(store)
    assert left == {**texts(calm), 5: texts(calm)[5] - {victim["text"]}}
    for window, manifest in shards(store).items():
        assert manifest.calibration == shards(calm)[window].calibration
        assert verify_ledger(history(store), manifest).identical
