"""How a policy or a configuration names a kind: the file of its folder, and that file's options."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind from its folder, with the options of its file."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
