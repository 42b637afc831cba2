"""Checkpoints in memory: what nobody used for the longest time is forgotten first."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from daemon.ports import EXIT_DEPENDENCY, EXIT_STATE, CannotRun, Fatal, Store
from scoring import checkpoints, kinds
from scoring.manifest import BadCheckpoint
from scoring.models import selftest
from scoring.models.base import BadModel
from scoring.types import Model

MODELS = 4  # checkpoints in memory, unless one edition alone names more


class Models:
    """Loads checkpoints of a store, each once. Used from one thread."""

    def __init__(self, store: Store, *, threads: int) -> None:
        self._store, self._threads = store, threads
        self._models: dict[str, Model] = {}  # least recently used first

    def get(self, checkpoint: str, kind: str) -> Model:
        """Loaded and self-tested. Raises Fatal, CannotRun where this CPU cannot hold the law."""
        found = self._models.pop(checkpoint, None)
        try:
            self._models[checkpoint] = found or self._load(checkpoint, kind)
        except BadCheckpoint as error:
            raise Fatal(f"checkpoint {checkpoint[:12]}: {error}", code=EXIT_STATE) from error
        except BadModel as error:  # also where this CPU cannot hold the law (NotInvariant)
            message = f"checkpoint {checkpoint[:12]}: {error}"
            raise CannotRun(message, code=EXIT_DEPENDENCY) from error
        return self._models[checkpoint]

    def touch(self, names: Collection[str]) -> None:
        """These are used now."""
        for name in names:
            if name in self._models:
                self._models[name] = self._models.pop(name)

    def forget(self, used: Collection[str]) -> Iterator[str]:
        """Forget what is too many, but none of `used`; the names of those that went.

        They are not closed: a segment on its way may still run one. Its threads end with it, when
        nobody holds it any more.
        """
        spare = [name for name in self._models if name not in used]
        for name in spare[: max(0, len(self._models) - MODELS)]:
            del self._models[name]
            yield name

    def close(self) -> None:
        for model in self._models.values():
            model.close()

    def _load(self, checkpoint: str, kind: str) -> Model:
        files = checkpoints.load(self._store, checkpoint)
        model: Model = kinds.module("scoring.models", kind).build(files, self._threads)
        selftest.self_test(model)
        return model
