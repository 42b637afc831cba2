"""Who we are, whom we trust, and one line that names what keeps us out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from daemon.kafka.security import Security
from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, Fatal, LaneId
from tests.kafka.broker import Broker, free_port
from tests.kafka.certificates import EXPIRED, Authority
from tests.kafka.follower import Follower, values, whole

Follow = Callable[..., Follower]
PASSWORD = "correct-horse"


class Secured(NamedTuple):
    """A broker with TLS, and the files that its clients need."""

    broker: Broker
    authority: Authority
    folder: Path

    def user(self, name: str = "sluice", password: str = PASSWORD, **changes: Any) -> Security:
        """Who logs in with SCRAM."""
        file = self.folder / f"{name}-{password}"
        file.write_text(f"{password}\n")
        file.chmod(0o600)
        given = {
            "protocol": "SASL_SSL",
            "ca_file": str(self.authority.file),
            "mechanism": "SCRAM-SHA-512",
            "username": name,
            "password_file": str(file),
        }
        return Security(**(given | changes))


def allow(broker: Broker, name: str, password: str) -> None:
    given = UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password)
    broker.admin.alter_user_scram_credentials([given])


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "authority")
    _, _, chain = authority.issue("broker")
    broker = Broker(folder / "broker", chain=chain, authority=authority.file).start()
    allow(broker, "sluice", PASSWORD)
    yield Secured(broker, authority, folder)
    broker.close()


def at(broker: Broker, listener: str) -> dict[str, Any]:
    return {"on": broker, "bootstrap": (broker.address(listener),)}


def refused(follow: Follow, **options: Any) -> Fatal:
    """Why the source does not begin; nothing of it may stay behind."""
    threads = set(threading.enumerate())
    options["client"] = {"bootstrap_timeout_ms": 500} | options.get("client", {})
    with pytest.raises(Fatal) as caught:
        follow("said", **options).source.lanes()
    assert set(threading.enumerate()) == threads
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_user_with_a_password_reads(secured: Secured, follow: Follow) -> None:
    said = secured.broker.topic()
    secured.broker.produce(said, values(3))
    follower = follow(said, security=secured.user(), **at(secured.broker, "SASL_SSL"))
    assert follower.read(LaneId(said, 0), 3) == whole(3)


def test_a_certificate_of_ours_reads(secured: Secured, follow: Follow) -> None:
    said = secured.broker.topic()
    secured.broker.produce(said, values(3))
    key, leaf, _ = secured.authority.issue("client")
    ours = Security(
        protocol="SSL",
        ca_file=str(secured.authority.file),
        certificate_file=str(leaf),
        key_file=str(key),
    )
    follower = follow(said, security=ours, **at(secured.broker, "SSL"))
    assert follower.read(LaneId(said, 0), 3) == whole(3)


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "wrong password": ("SASL_SSL", {"password": "wrong"}, "refuses user and password"),
    "unknown user": ("SASL_SSL", {"name": "nobody"}, "refuses user and password"),
    "mechanism": ("SASL_SSL", {"mechanism": "PLAIN"}, "does not offer this SASL mechanism"),
    "tls to plaintext": ("PLAINTEXT", {}, "does not speak TLS"),
    "controller": ("CONTROLLER", {"plain": True}, "is a controller"),
    "plaintext to tls": ("SASL_SSL", {"plain": True}, "speaks TLS"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_cause_is_named(secured: Secured, follow: Follow, case: str) -> None:
    listener, changes, says = CASES[case]
    security = Security() if changes.pop("plain", False) else secured.user(**changes)
    error = refused(follow, security=security, **at(secured.broker, listener))
    assert says in str(error)
    assert error.code == EXIT_CONFIG


def test_a_missing_certificate_of_ours(secured: Secured, follow: Follow) -> None:
    bare = Security(protocol="SSL", ca_file=str(secured.authority.file))
    error = refused(follow, security=bare, **at(secured.broker, "SSL"))
    assert "refuses our certificate, or misses one" in str(error)


def test_an_unknown_authority(secured: Secured, follow: Follow, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    security = secured.user(ca_file=str(other.file))
    error = refused(follow, security=security, **at(secured.broker, "SASL_SSL"))
    assert "unknown authority" in str(error)


@pytest.mark.parametrize(
    ("issued", "says"),
    [({"valid": EXPIRED}, "has expired"), ({"alternative": "DNS:elsewhere"}, "another name")],
)
def test_a_certificate_that_is_not_right(
    secured: Secured,
    follow: Follow,
    private: Callable[..., Broker],
    issued: dict[str, Any],
    says: str,
) -> None:
    _, _, chain = secured.authority.issue("odd", **issued)
    odd = private(chain=chain, authority=secured.authority.file)
    error = refused(follow, security=secured.user(), **at(odd, "SASL_SSL"))
    assert says in str(error)
    assert error.code == EXIT_CONFIG


def test_nobody_there_is_waited_for_and_then_told(broker: Broker, follow: Follow) -> None:
    empty = (f"127.0.0.1:{free_port()}",)
    error = refused(follow, bootstrap=empty, client={"start_timeout_ms": 1_000})
    assert "nobody listens" in str(error)
    assert error.code == EXIT_DEPENDENCY
    nowhere = ("no-such-host.invalid:9092", *empty)
    error = refused(follow, bootstrap=nowhere, client={"start_timeout_ms": 1_000})
    assert "name service" in str(error)


def test_one_address_that_answers_is_enough(broker: Broker, follow: Follow) -> None:
    said = broker.topic()
    follower = follow(said, bootstrap=(f"127.0.0.1:{free_port()}", broker.bootstrap))
    follower.stand(LaneId(said, 0))


@pytest.mark.slow
def test_a_broker_that_comes_up_later_is_found(
    private: Callable[..., Broker], follow: Follow
) -> None:
    late = private()
    said = late.topic()
    late.stop()
    starting = threading.Timer(1.5, late.start)
    starting.start()
    try:
        follow(said, on=late).stand(LaneId(said, 0))
    finally:
        starting.join()


@pytest.mark.slow
def test_a_rotated_password_is_read_again(
    private: Callable[..., Broker], secured: Secured, follow: Follow
) -> None:
    """Open connections live on until a broker restarts; then the client is refused, and made anew
    with what the file says by then.
    """
    _, _, chain = secured.authority.issue("rotating")
    broker = private(chain=chain, authority=secured.authority.file)
    allow(broker, "sluice", "first")
    said = broker.topic()
    lane = LaneId(said, 0)
    security = secured.user(password="first")
    follower = follow(said, security=security, **at(broker, "SASL_SSL"))
    follower.stand(lane)
    allow(broker, "sluice", "second")
    broker.stop()
    broker.start()
    follower.until(lambda: "password" in follower.source.trouble)
    assert "first" not in follower.source.trouble
    Path(security.password_file or "").write_text("second")
    broker.produce(said, values(3))
    assert follower.read(lane, 3) == whole(3)
    assert follower.source.trouble == ""


@pytest.mark.slow
def test_a_password_that_stays_wrong_ends_the_process_after_a_while(
    private: Callable[..., Broker], secured: Secured, follow: Follow
) -> None:
    _, _, chain = secured.authority.issue("refusing")
    broker = private(chain=chain, authority=secured.authority.file)
    allow(broker, "sluice", "first")
    said = broker.topic()
    follower = follow(
        said,
        security=secured.user(password="first"),
        client={"away_timeout_ms": 1_000},
        **at(broker, "SASL_SSL"),
    )
    follower.stand(LaneId(said, 0))
    allow(broker, "sluice", "second")
    broker.stop()
    broker.start()
    with pytest.raises(Fatal, match="refuses user and password") as caught:
        follower.until(lambda: False)
    assert caught.value.code == EXIT_CONFIG
