"""ONNX Runtime on CPU in float32, over batches of exact length: bit-equal under any batching.

The model is read from verified bytes only, after a look at everything that could reach outside
of them: external data (CVE-2026-27489), custom operators, control flow without a bound.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from scoring.grade import take
from scoring.models.base import (
    ONNX_FILE,
    TOKENIZER_FILE,
    BadModel,
    Files,
    check_outputs,
    softmax,
)
from scoring.models.cpu import cpu_level
from scoring.models.lengths import Batch, each, group, lengths_of, scatter
from scoring.models.onnx_checks import check_bytes
from scoring.models.slots import NAMES, by_word, check_tags, read_tags
from scoring.models.tokens import Tokens
from scoring.types import Floats, Model, Outputs

# Since 1.29 it reports to its makers, and keeps an identifier under $HOME, from its import on:
# `disable_telemetry_events` comes too late. It reads this once.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

precision = "fp32"

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_OUTPUTS = ("logits", "hidden", "slot_logits", "slot_hidden")  # the first is required
_FAULTS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def build(files: Files, threads: int) -> Model:
    """Load, check and try out. BadModel says what is wrong with the checkpoint."""
    check_bytes(files.blob(ONNX_FILE))
    model = OnnxModel(files, threads)
    model.probe()
    return model


class OnnxModel:
    """One session without threads of its own, called by `threads` workers at a time.

    One thread per call beats two in one call by 13-30 % (no barrier per operator), and a call's
    bits cannot depend on how its work was split.
    """

    def __init__(self, files: Files, threads: int) -> None:
        self.classes = files.labels
        self.fingerprint = files.fingerprint
        self.engine = f"onnxruntime {ort.__version__} {precision} cpu-{cpu_level()}"
        self._tokens = Tokens(files.blob(TOKENIZER_FILE), files.max_length)
        self._max_length = files.max_length
        self._session = _session(files.blob(ONNX_FILE))
        self._inputs = [value.name for value in self._session.get_inputs()]
        given = [value.name for value in self._session.get_outputs()]
        self._outputs = [name for name in _OUTPUTS if name in given]
        if not set(self._inputs) <= _INPUTS or "input_ids" not in self._inputs:
            raise BadModel(
                f"the graph's inputs must be input_ids and may be attention_mask and "
                f"token_type_ids, not {sorted(self._inputs)}: export it again with these names"
            )
        if "logits" not in self._outputs:
            raise BadModel(f"the graph has no output named logits, but {sorted(given)}")
        self.tags = read_tags(self._session.get_modelmeta().custom_metadata_map.get(NAMES))
        self._pool = ThreadPoolExecutor(threads, "onnx") if threads > 1 else None

    def probe(self) -> None:
        """Run a short text, the longest text and the largest id; BadModel if one of them fails."""
        longest = np.full((1, self._max_length), self._tokens.id_max, dtype=np.int64)
        try:
            first = self._call(Batch(np.zeros(1, np.int64), longest))
            self._check_shapes(dict(zip(self._outputs, first, strict=True)))
            outputs = self.run(("a b", ""))
        except _FAULTS as error:
            raise BadModel(
                "the model fails on its tokenizer's largest id or on texts of max_length tokens: "
                "publish the tokenizer and the max_length that it was trained with"
            ) from error
        check_outputs(outputs, 2, self.classes)

    def _check_shapes(self, results: Mapping[str, Floats]) -> None:
        """BadModel unless one row of max_length tokens gives one row of each output."""
        for name, result in results.items():
            wanted = (1, self._max_length) if name.startswith("slot_") else (1,)
            if result.shape[:-1] != wanted:
                raise BadModel(
                    f"the graph's {name} is {result.shape} for one text, not {wanted} and one "
                    "axis more: export it again, with `hidden` as what the last layer reads"
                )
        if "slot_logits" in results:
            check_tags(self.tags, results["slot_logits"].shape[-1])

    def run(self, texts: Sequence[str]) -> Outputs:
        """See `scoring.types.Model`."""
        if not texts:
            return self._nothing()
        ids = self._tokens.encode(texts)
        batches = group(ids)
        columns = list(zip(*each(batches, self._call, self._pool), strict=True))
        named = dict(zip(self._outputs, columns, strict=True))
        logits = scatter(batches, named["logits"], len(texts))
        hidden = scatter(batches, named["hidden"], len(texts)) if "hidden" in named else None
        slots = read = None
        if "slot_logits" in named:
            of_words = named["slot_logits"], named.get("slot_hidden")
            slots, read = by_word(self._tokens, texts, batches, *of_words)
        return Outputs(
            logits, softmax(logits), hidden, slots, slot_hidden=read, lengths=lengths_of(ids)
        )

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown()

    def _call(self, batch: Batch) -> list[Floats]:
        values = {
            "input_ids": batch.ids,
            "attention_mask": np.ones_like(batch.ids),
            "token_type_ids": np.zeros_like(batch.ids),
        }
        results = self._session.run(self._outputs, {name: values[name] for name in self._inputs})
        return [np.asarray(result, dtype=np.float32) for result in results]

    def _nothing(self) -> Outputs:
        """Outputs of no texts."""
        return take(self.run(("",)), np.array([], np.intp))


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: a warning could quote what a model file says
    try:
        return ort.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            # On CPU the fused kernel is scalar, plain Add and LayerNormalization are vectorised.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except _FAULTS as error:
        raise BadModel("ONNX Runtime refuses the graph: export it again, opset 20") from error
