"""Certificates of an authority of its own, for a broker that speaks TLS. Made by openssl(1)."""

from __future__ import annotations

import subprocess
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
USES = "extendedKeyUsage=serverAuth,clientAuth"
LOOPBACK = "IP:127.0.0.1,DNS:localhost"
VALID = ("20200101000000Z", "21200101000000Z")
EXPIRED = ("20200101000000Z", "20200201000000Z")
CONFIGURATION = """
[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


class Authority:
    """`file`: the certificate that clients trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.file = folder, folder / "ca.pem"
        self._key, self._config = folder / "ca.key", folder / "ca.cnf"
        self._config.write_text(CONFIGURATION.format(folder=folder))
        (folder / "index").write_text("")
        (folder / "serial").write_text("01")
        _openssl(
            "req", "-x509", *CURVE, "-keyout", self._key, "-out", self.file,
            "-days", 3650, "-subj", "/CN=authority",
        )  # fmt: skip

    def issue(
        self, name: str, *, alternative: str = LOOPBACK, valid: tuple[str, str] = VALID
    ) -> tuple[Path, Path, Path]:
        """(key, certificate, both with the authority's in one file as brokers read it), PEM."""
        key, request, leaf = (self.folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        extensions, chain = self.folder / f"{name}.ext", self.folder / f"{name}.chain.pem"
        extensions.write_text(f"subjectAltName={alternative}\n{USES}\n")
        _openssl("req", *CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        _openssl(
            "ca", "-batch", "-notext", "-config", self._config, "-cert", self.file,
            "-keyfile", self._key, "-in", request, "-out", leaf, "-extfile", extensions,
            "-startdate", valid[0], "-enddate", valid[1],
        )  # fmt: skip
        _openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", f"{key}.pk8")
        parts = (Path(f"{key}.pk8"), leaf, self.file)
        chain.write_text("".join(part.read_text() for part in parts))
        return key, leaf, chain
