"""The secret key, from the one file that holds it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from daemon.config.settings import KEY_VARIABLE, ConfigError, Keys

KEY_BYTES_MIN = 16  # 128 bits, the width of an identity
KEY_BYTES_MAX = 4096


def find(keys: Keys, environment: Mapping[str, str]) -> Path:
    """Where the key lies: `keys.file`, else the environment. Raises ConfigError."""
    if keys.file is not None:
        return Path(keys.file)
    if KEY_VARIABLE not in environment:
        raise ConfigError((f"keys.file: is missing, and {KEY_VARIABLE} is not set",))
    if not environment[KEY_VARIABLE].strip():
        raise ConfigError((f"keys.file: {KEY_VARIABLE} is set but empty; unset it or name a file",))
    return Path(environment[KEY_VARIABLE])


def read(path: Path) -> bytes:
    """The key, without the line end that editors and `echo` leave behind. Raises ConfigError."""
    try:
        # a FIFO would block in open for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _fault("is no regular file", path)
            data = file.read(KEY_BYTES_MAX + 1)
    except OSError as error:
        raise _fault(f"cannot be read: {error.strerror or type(error).__name__}", path) from None
    if status.st_mode & 0o007:
        raise _fault(
            "is open to every user of this machine; chmod o-rwx, or defaultMode: 0440", path
        )
    if len(data) > KEY_BYTES_MAX:
        raise _fault(f"is larger than {KEY_BYTES_MAX} bytes, that is no key", path)
    key = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(key) < KEY_BYTES_MIN:
        raise _fault(
            f"holds {len(key)} bytes, identities need {KEY_BYTES_MIN}; try openssl rand -hex 32",
            path,
        )
    return key


def _fault(what: str, path: Path) -> ConfigError:
    """Names the path where it is one for certain: somebody may have put the secret in its place."""
    folder = path.parent
    near = path.is_absolute() and folder != Path("/") and os.path.isdir(folder)
    where = f" ({path})" if near or os.path.exists(path) else ""
    return ConfigError((f"keys.file: {what}{where}",))
