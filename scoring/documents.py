"""JSON files of a checkpoint, read as data of a stranger: bounded, never quoted in a refusal."""

from __future__ import annotations

import json
from typing import Any, cast

from scoring.containers import refuse_disguised
from scoring.manifest import BadCheckpoint, Fault
from scoring.models.base import TOKENIZER_FILE

DEPTH_MAX = 64


def vocabulary_end(tokenizer: dict[str, Any]) -> int:
    """1 + the largest token id of a tokenizer.json. Raises BadCheckpoint without a vocabulary."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    added = tokenizer.get("added_tokens")
    added = added if isinstance(added, list) else []
    ids: list[object] = [token.get("id") for token in added if isinstance(token, dict)]
    if isinstance(vocabulary, dict):
        ids.extend(vocabulary.values())
    elif isinstance(vocabulary, list):  # Unigram: pieces in the order of their ids
        ids.append(len(vocabulary) - 1)
    if not ids or not all(isinstance(each, int) and each >= 0 for each in ids):
        hint = f"{TOKENIZER_FILE} has no vocabulary; save the fast tokenizer of the model"
        raise BadCheckpoint(Fault.BAD_VOCABULARY, hint)
    return max(cast(list[int], ids)) + 1


def json_object(name: str, data: bytes) -> dict[str, Any]:
    """One JSON object; raises as `json_value` does."""
    value = json_value(name, data)
    if not isinstance(value, dict):
        raise BadCheckpoint(Fault.BAD_JSON, f"{name} must be one JSON object; save it again")
    return value


def json_value(name: str, data: bytes) -> Any:
    """Any JSON value, at most DEPTH_MAX deep. Raises BadCheckpoint without quoting it."""
    try:
        value = json.loads(data.decode())
        keys_of(value)
    except (ValueError, RecursionError):
        refuse_disguised(name, data)
        hint = f"{name} is not JSON in UTF-8, at most {DEPTH_MAX} deep; save it again"
        raise BadCheckpoint(Fault.BAD_JSON, hint) from None
    return value


def keys_of(value: object) -> set[str]:
    """All keys of all objects inside. Raises RecursionError past DEPTH_MAX."""
    keys: set[str] = set()
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise RecursionError
        keys.update(*(each for each in level if isinstance(each, dict)))
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return keys
