"""How a client proves who it is and whom it trusts. Secrets come from files alone."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from daemon.ports import EXIT_CONFIG, Fatal

SECRET_BYTES_MAX = 4096
PathText = Annotated[str, Meta(min_length=1, max_length=4096)]


class Security(Struct, frozen=True, forbid_unknown_fields=True):
    """`ca_file`: PEM of whom to trust; left out, the machine's authorities. `certificate_file` and
    `key_file`: PEM of our own for mutual TLS. `username`, `password_file`: for SASL. Files are read
    again whenever a connection is made anew, so a rotated secret needs no restart.
    """

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: PathText | None = None
    certificate_file: PathText | None = None
    key_file: PathText | None = None
    key_password_file: PathText | None = None
    check_hostname: bool = True
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    password_file: PathText | None = None

    @property
    def encrypted(self) -> bool:
        return self.protocol.endswith("SSL")

    def faults(self) -> Iterator[str]:
        """What contradicts itself, one line each: `key: what is wrong`."""
        tls = ("ca_file", "certificate_file", "key_file", "key_password_file")
        sasl = ("mechanism", "username", "password_file")
        if not self.encrypted:
            for name in filter(self._has, tls):
                yield f"{name}: is for TLS, which protocol {self.protocol} does not use"
        if self.protocol.startswith("SASL"):
            for name in sasl:
                if not self._has(name):
                    yield f"{name}: is missing, protocol {self.protocol} needs it"
        else:
            for name in filter(self._has, sasl):
                yield f"{name}: is for SASL, which protocol {self.protocol} does not use"
        for name in ("key_file", "key_password_file"):
            if self._has(name) and not self.certificate_file:
                yield f"{name}: has no certificate_file beside it"
        for name in (*tls, "password_file"):
            if self._has(name) and not getattr(self, name).startswith("/"):
                yield f"{name}: is no absolute path, it would depend on where sluice is started"

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    def arguments(self) -> dict[str, Any]:
        """For a client of kafka-python. Reads the files. Raises Fatal with EXIT_CONFIG."""
        given: dict[str, Any] = {"security_protocol": self.protocol}
        if self.encrypted:
            given["ssl_context"] = self.context()
        if self.password_file is not None:
            given |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": secret("password_file", self.password_file),
            }
        return given

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer, certificates verified. Raises Fatal with EXIT_CONFIG."""
        try:
            made = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise _fatal("ca_file", f"holds no certificates to trust: {_said(error)}") from None
        made.check_hostname = self.check_hostname
        if self.certificate_file is not None:
            password = None
            if self.key_password_file is not None:
                password = secret("key_password_file", self.key_password_file)
            try:
                # a function: asked of a terminal otherwise, where the key is encrypted
                made.load_cert_chain(self.certificate_file, self.key_file, lambda: password or "")
            except OSError as error:
                what = f"and key_file are no pair of certificate and key: {_said(error)}"
                raise _fatal("certificate_file", what) from None
        return made


def secret(name: str, path: str) -> str:
    """What the file of an option holds, without the line end of editors and `echo`.

    Raises Fatal with EXIT_CONFIG; it names the option, and never the path: a password may have been
    put in its place.
    """
    try:
        # a FIFO would block in open for ever
        descriptor = os.open(Path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _fatal(name, "is no regular file")
            data = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise _fatal(name, f"cannot be read: {_said(error)}") from None
    if status.st_mode & 0o007:
        raise _fatal(
            name, "is open to every user of this machine; chmod o-rwx, or defaultMode: 0440"
        )
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _fatal(name, "is not UTF-8") from None
    if not text or len(data) > SECRET_BYTES_MAX:
        raise _fatal(name, f"holds no secret of 1 to {SECRET_BYTES_MAX} bytes")
    return text


def _said(error: OSError) -> str:
    """Of an error, without the path that it may quote."""
    reason = getattr(error, "reason", None)  # of OpenSSL
    return str(reason or error.strerror or type(error).__name__)


def _fatal(name: str, what: str) -> Fatal:
    return Fatal(f"security.{name} of a Kafka client {what}", code=EXIT_CONFIG)
