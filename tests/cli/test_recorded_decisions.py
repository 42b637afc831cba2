"""A recording that carries what its run decided is replayed as that run was (laws 3 and 4)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from daemon.__main__ import main
from daemon.commands import run as run_command
from daemon.ports import EXIT_OK, Fatal, LaneId
from daemon.registry.bundle import closings, copy_decisions
from daemon.stores import local
from daemon.stores.memory import MemoryStore
from tests.cli.test_commands import call, publish, root

__all__ = ["root"]  # the fixture

LANES = tuple(LaneId("u", partition) for partition in range(3))


def digests(store: Path) -> dict[str, str]:
    found = sorted(store.rglob("manifest.json"))
    return {path.parent.name: json.loads(path.read_bytes())["rows_digest"] for path in found}


def test_recorded_decisions_are_obeyed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, "--from", "0")
    assert call(root, "run") == EXIT_OK
    assert '"derived_anew"' in capsys.readouterr().err
    origin = local.build(local.Options(str(root / "store")))
    first = digests(root / "store")
    # the run is recorded, without the parts of its last two windows
    cuts = {str(lane): list(cut[:-2]) for lane, cut in closings(origin, LANES).items()}
    (root / "recording" / "closings.json").write_bytes(msgspec.json.encode(cuts))
    copy_decisions(origin, local.build(local.Options(str(root / "recording" / "registry"))))
    shutil.rmtree(root / "store")
    # nothing is published here: editions, pins and checkpoint come with the recording
    assert call(root, "run") == EXIT_OK
    assert '"recorded"' in capsys.readouterr().err
    again = digests(root / "store")
    assert again
    assert again.items() < first.items(), "it ends where the recorded parts end"
    assert main(["verify", "last", "-c", str(root / "sluice.yaml")]) == EXIT_OK


def test_decisions_of_two_runs_do_not_mix() -> None:
    """A store half of one lineage and half of another would be neither's."""
    recorded, own = MemoryStore(), MemoryStore()
    for name in ("editions/000000.json", "genesis.json", "pins/000000000005.json"):
        recorded.create(name, name.encode())
    assert copy_decisions(recorded, own) == 3
    assert copy_decisions(recorded, own) == 0, "the same again, after a restart"
    recorded.create("editions/000001.json", b"theirs")
    recorded.create("pins/000000000006.json", b"new")
    own.create("editions/000001.json", b"ours")
    with pytest.raises(Fatal, match=r"decisions of its own .editions/000001"):
        copy_decisions(recorded, own)
    assert list(own.list("pins/")) == ["pins/000000000005.json"], "nothing was created"


def test_a_second_signal_exits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped:
        stopping = False

        def stop(self) -> None:
            self.stopping = True

    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    loop = Stopped()
    with run_command.signals(loop):  # type: ignore[arg-type]
        os.kill(os.getpid(), 15)
        assert loop.stopping
        assert codes == []
        os.kill(os.getpid(), 2)
    assert codes == [run_command.SECOND_SIGNAL]
