"""A release of the chart on the cluster, over a real broker, as an operator would move it."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon.learning.edition import Edition
from daemon.registry.registry import Registry
from daemon.shards.shard import ShardManifest
from daemon.stores import bucket as bucket_store
from daemon.stores import local
from tests import s3
from tests.helm.chart import CHART
from tests.kafka.broker import Broker
from tests.kube import world
from tests.kube.cluster import HOST, IMAGE, SECONDS, Manifest, Namespace, owned

NAME = "voice"
KEY = "0123456789abcdef0123456789abcdef"
TOPIC, PARTITIONS = "utterances", 3
STREAM = {"period": "3s", "grace": 1, "lag": 3}
POLICY: Manifest = {
    "record": {"id": "id", "text": "text", "label": "label"},
    "capacity_rows": 30,
    "arms": {"audit_rows": 10, "review_rows": 10},
    "quarantine": {"assumed_rate": 0.1},
    "groups": {"limit": 8},
    "learning": {"minimum_rows": 20},
}


class ReachableBroker(Broker):
    """As pods reach it."""

    def address(self, listener: str) -> str:
        return f"{HOST}:{self.ports[listener]}"

    @staticmethod
    def _listens(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0


class Release:
    """A Deployment over a volume. `folder`: of that volume, on this machine."""

    workload = f"deployment/{NAME}"

    def __init__(self, namespace: Namespace, broker: Broker) -> None:
        self.namespace = namespace
        self.folder = namespace.volume("store")
        world.write_checkpoints(namespace.volume("checkpoints"))
        owned(namespace.folder("checkpoints"))
        namespace.secret("sluice-key", key=KEY)
        repository, _, tag = IMAGE.rpartition(":")
        self.values: Manifest = {
            "fullnameOverride": NAME,
            "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
            "kafka": {
                "bootstrap": [broker.bootstrap], "topics": [TOPIC],
                "client": {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 500},
            },
            "store": {"kind": "local", "local": {"existingClaim": "store"}},
            "keys": {"existingSecret": "sluice-key"},
            "stream": STREAM,
            "process": {"threads": 1},
            "policy": POLICY,
            "publish": {
                "enabled": True, "checkpoint": world.FIRST, "sample": "sample.jsonl",
                "volume": {"persistentVolumeClaim": {"claimName": "checkpoints"}},
                "resources": {"requests": {"cpu": "50m"}},
            },
            "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "1Gi"}},
            "terminationGracePeriodSeconds": 30,
        }  # fmt: skip

    def install(self, **changes: Manifest) -> None:
        """Install or upgrade, with sections of `values` changed, and wait for pods and Job."""
        values = dict(self.values)
        for section, change in changes.items():
            values[section] = {**values[section], **change}
        file = self.namespace.folder("") / "values.json"
        file.write_text(json.dumps(values))
        self._waiting("upgrade", "--install", NAME, str(CHART), "-f", str(file))

    def rollback(self, revision: int) -> None:
        self._waiting("rollback", NAME, str(revision))

    def _waiting(self, *command: str) -> None:
        try:
            self.namespace.helm(*command, "--wait", "--wait-for-jobs", f"--timeout={SECONDS}s")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.namespace.state()}") from None
        self.rolled()

    def rolled(self) -> None:
        """`helm --wait` may be content too early: every pod is the new one, and ready."""
        self.namespace.kubectl("rollout", "status", self.workload, f"--timeout={SECONDS}s")

    def scale(self, replicas: int) -> None:
        self.namespace.kubectl("scale", self.workload, f"--replicas={replicas}")
        self.rolled()

    def pods(self) -> list[str]:
        """Of the daemon."""
        return self.namespace.names("pods", "app.kubernetes.io/component=daemon")

    def kill(self) -> None:
        """One pod goes without a word, in the middle of whatever it does."""
        self.namespace.kubectl("delete", "pod", self.pods()[0], "--force", "--grace-period=0")
        self.rolled()

    def metrics(self) -> str:
        """Through the Service."""
        address = self.namespace.get("service", NAME)["spec"]["clusterIP"]
        with urllib.request.urlopen(f"http://{address}:9464/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def registry(self, store: str = "store") -> Registry:
        return Registry(local.build(local.Options(str(self.folder / store))))

    def editions(self) -> dict[int, Edition]:
        registry = self.registry()
        registry.read_editions()
        return registry.editions

    def shards(self, store: str = "store") -> dict[int, ShardManifest]:
        registry = self.registry(store)
        names = [n for n in registry.store.list("shards/") if n.endswith("/manifest.json")]
        return {m.window: m for m in (registry.manifest(int(n.split("/")[1])) for n in names)}

    def goes_on(self, shards: int = 2) -> None:
        """Shards are still made: so many more than there are now."""
        before = len(self.shards())
        self.comes(lambda: len(self.shards()) >= before + shards)

    def comes(self, condition: Callable[[], Any]) -> None:
        """Look until it is so; says what the cluster thinks where it never is."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.namespace.state()
            time.sleep(0.2)

    def recording(self) -> Path:
        """Of the whole run, made in a pod of it."""
        self.namespace.kubectl(
            "exec", self.workload, "--", "sluice", "record", "/var/lib/sluice/recording"
        )
        return self.folder / "recording"

    def replay(self) -> None:
        """Run the recording into an empty store, `replayed`, under the image."""
        (self.folder / "key").write_text(KEY)
        (self.folder / "key").chmod(0o600)
        config: Manifest = {
            "store": {"kind": "local", "options": {"path": "/data/replayed"}},
            "source": {"kind": "replay", "options": {"path": "/data/recording"}},
            "keys": {"file": "/data/key"},
            "stream": STREAM,
            "policy": POLICY,
        }
        (self.folder / "replay.yaml").write_text(json.dumps(config))
        owned(self.folder)
        code, said = self.namespace.run("replay", "run", "-c", "/data/replay.yaml", claim="store")
        assert code == 0, said


class StaticRelease(Release):
    """A StatefulSet of two members with names of their own, over a bucket with a secret."""

    workload = f"statefulset/{NAME}"

    def __init__(self, namespace: Namespace, broker: Broker, bucket: s3.Server) -> None:
        super().__init__(namespace, broker)
        self._bucket = bucket.options()
        namespace.secret("bucket", id="identity", secret="canary-5d1c")
        self.values["replicas"] = 2
        self.values["kafka"]["staticMembership"] = True
        self.values["store"] = {
            "kind": "bucket",
            "bucket": {
                "url": self._bucket.url, "endpoint": self._bucket.endpoint, "region": "us-east-1",
                "allowHttp": True, "existingSecret": "bucket",
                "credentials": {"access_key_id": "id", "secret_access_key": "secret"},
            },
        }  # fmt: skip

    def registry(self, store: str = "store") -> Registry:
        return Registry(bucket_store.build(self._bucket))
