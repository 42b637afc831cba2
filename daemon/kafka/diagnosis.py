"""What keeps us from a broker, in one line that names the real cause.

kafka-python answers every trouble at the start with one `KafkaTimeoutError: Unable to bootstrap`
and says why in its log alone. So its log is listened to, and each bootstrap address is looked at:
does anybody answer there, and does TLS come about?
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterable
from typing import NamedTuple, Self

LOGGER = "kafka"
KNOCK_SECONDS = 2.0


class Cause(NamedTuple):
    """`certain`: waiting does not heal it, somebody must change something."""

    text: str
    hint: str
    certain: bool


PASSWORD = Cause(
    "the broker refuses user and password",
    "check security.username and what password_file holds; an unknown user looks the same",
    certain=True,
)
MECHANISM = Cause(
    "the broker does not offer this SASL mechanism", "check security.mechanism", certain=True
)
EXPIRED = Cause("the broker's certificate has expired", "it must be renewed there", certain=True)
NAME = Cause(
    "the broker's certificate is for another name",
    "write the name in `bootstrap` that the certificate has, or have it issued for this one",
    certain=True,
)
AUTHORITY = Cause(
    "the broker's certificate comes from an unknown authority",
    "security.ca_file must hold the certificate of its authority",
    certain=True,
)
OURS = Cause(
    "the broker refuses our certificate, or misses one",
    "this listener wants security.certificate_file and key_file of an authority that it trusts",
    certain=True,
)
PLAIN = Cause(
    "the broker does not speak TLS at this address",
    "security.protocol must be that of the listener: PLAINTEXT or SASL_PLAINTEXT?",
    certain=True,
)
ENCRYPTED = Cause(
    "the broker speaks TLS at this address",
    "security.protocol must be that of the listener: SSL or SASL_SSL?",
    certain=True,
)
CONTROLLER = Cause(
    "this is a controller and no broker", "`bootstrap` names brokers, their port", certain=True
)
UNKNOWN_HOST = Cause(
    "no address of `bootstrap` is known to the name service", "check the names", certain=False
)
NOBODY = Cause(
    "nobody listens at the addresses of `bootstrap`",
    "is the broker up, and does a network policy allow us to reach it?",
    certain=False,
)
SILENT = Cause(
    "the addresses of `bootstrap` do not answer",
    "is there a firewall or network policy in between, or is the broker overloaded?",
    certain=False,
)
SAID: tuple[tuple[str, Cause], ...] = (  # the most telling first
    ("SaslAuthenticationFailed", PASSWORD),
    ("UnsupportedSaslMechanism", MECHANISM),
    ("certificate has expired", EXPIRED),
    ("ertificate is not valid for", NAME),
    ("Hostname mismatch", NAME),
    ("CERTIFICATE_VERIFY_FAILED", AUTHORITY),
    ("alert bad certificate", OURS),
    ("certificate required", OURS),
    ("alert unknown ca", OURS),
    ("alert certificate", OURS),
    ("does not support the 'MetadataRequest'", CONTROLLER),
    ("Invalid frame length: 35251", ENCRYPTED),  # the first bytes of a TLS alert
    ("WRONG_VERSION_NUMBER", PLAIN),
    ("UNEXPECTED_EOF_WHILE_READING", PLAIN),
    ("DNS", UNKNOWN_HOST),
    ("ECONNREFUSED", NOBODY),
    ("timed out", SILENT),
)


def read(message: str) -> Cause | None:
    """The cause that an error of OpenSSL or a log line of the client tells of."""
    return next((cause for sign, cause in SAID if sign in message), None)


class Witness(logging.Handler):
    """Listens to the client's log. Keeps causes and no text, and lets nothing through to stderr."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: set[Cause] = set()

    def __enter__(self) -> Self:
        logging.getLogger(LOGGER).addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger(LOGGER).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        cause = read(record.getMessage())
        if cause is not None:
            self._seen.add(cause)

    def forget(self) -> None:
        """What comes from now on is about the next attempt."""
        self._seen.clear()

    def cause(self) -> Cause | None:
        """The most telling one since `forget`."""
        return next((cause for _, cause in SAID if cause in self._seen), None)


def knock(addresses: Iterable[str], context: ssl.SSLContext | None) -> Cause | None:
    """Why none of the addresses can be spoken to, as far as TCP and TLS tell; None if one can."""
    found: list[Cause] = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        cause = _knock(host.strip("[]"), int(port), context)
        if cause is None:
            return None
        found.append(cause)
    return min(found, key=[cause for _, cause in SAID].index)


def _knock(host: str, port: int, context: ssl.SSLContext | None) -> Cause | None:
    try:
        with socket.create_connection((host, port), timeout=KNOCK_SECONDS) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=host):
                    pass
    except socket.gaierror:
        return UNKNOWN_HOST
    except ConnectionRefusedError:
        return NOBODY
    except ssl.SSLError as error:
        return read(str(error)) or SILENT
    except TimeoutError:
        return SILENT
    except OSError:
        return PLAIN if context is not None else NOBODY  # cut off in the middle of the handshake
    return None
