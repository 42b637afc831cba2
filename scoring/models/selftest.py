"""Does this engine, on this CPU, score a text alike whatever stands beside it?

Asked at every start: the law is what replays rest on, and kernels differ between CPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from scoring.models.base import NotInvariant
from scoring.supplies import Differentiable, Layered
from scoring.types import GRID, Floats, Model, Outputs

# Ours, of many lengths, several of them often: groups of one, of a few and of many rows.
PROBES: tuple[str, ...] = (
    "",
    "stop",
    "next song",
    "what time is it",
    "turn on the lights",
    "play the radio please",
    "set a timer for ten minutes",
    "is it going to rain in the north this weekend",
    "remind me to water the plants when I get home tonight",
    "mach bitte das Licht im Flur aus",
    "augmente le volume de la t\u00e9l\u00e9vision",
    "\u96fb\u6c17\u3092\u6d88\u3057\u3066",
    "turn the thermostat down to sixty-five degrees, and close the blinds in both bedrooms too!",
    "volume up",
    "dim the lamp",
    "lock the front door",
    "good morning everyone here",
    "which of my meetings were moved to the afternoon and who moved them without telling me",
)
_STEP = 7  # neighbours change and lengths mix
_CUTS = (1, 2, 5)


def self_test(model: Model, texts: Sequence[str] = PROBES) -> None:
    """NotInvariant if any row differs when shuffled, cut otherwise, repeated, or alone."""
    whole = model.run(texts)
    if not len(texts):
        return
    if not np.isfinite(whole.logits).all():
        raise NotInvariant(f"{model.engine} gives NaN or infinite logits: do not use this model")
    for how, rows, outputs in _ways(model, texts):
        wrong = _differing(whole, rows, outputs)
        if wrong.any():
            exact = _on_grid(whole.probs[rows][wrong]) == _on_grid(outputs.probs[wrong])
            scores = "even as rounded" if not exact.all() else "in the last bits"
            raise NotInvariant(
                f"{model.engine} is not batch-invariant here: {int(wrong.sum())} of {len(rows)} "
                f"probes differ {scores} when {how}, so a replay would not select the same rows. "
                "Use an fp32 ONNX export (`sluice checkpoint export` makes one), or another build "
                "of the runtime; dynamic int8 quantisation can never pass"
            )


def gradient_test(model: Differentiable, engine: str, texts: Sequence[str] = PROBES) -> None:
    """NotInvariant if what a text's embeddings do to a class depends on the texts beside it."""
    classes = np.zeros(len(texts), np.int32)
    whole = model.gradients(texts, classes)
    for cut in _CUTS:
        for start in range(0, len(texts), cut):
            part = slice(start, start + cut)
            found = model.gradients(texts[part], classes[part])
            pairs = zip(whole[part], found, strict=True)
            if any(one.tobytes() != other.tobytes() for one, other in pairs):
                raise _leaks(engine, cut)


def layer_test(model: Layered, engine: str, texts: Sequence[str] = PROBES) -> None:
    """NotInvariant if how far a text moves a layer depends on the texts beside it.

    Of the first layer: what is derived by it goes through all the others.
    """
    classes = np.zeros(len(texts), np.int32)
    whole = model.layer_gradients(texts, classes, 0)
    for cut in _CUTS:
        for start in range(0, len(texts), cut):
            part = slice(start, start + cut)
            found = model.layer_gradients(texts[part], classes[part], 0)
            if found.tobytes() != whole[part].tobytes():
                raise _leaks(engine, cut)


def _leaks(engine: str, cut: int) -> NotInvariant:
    return NotInvariant(
        f"{engine} runs backward otherwise in batches of {cut}: leave scores that need a gradient "
        "out of policy.scores here"
    )


def _ways(
    model: Model, texts: Sequence[str]
) -> Iterator[tuple[str, npt.NDArray[np.int64], Outputs]]:
    """(how, rows of the whole, outputs of these rows) for every other way to run the texts."""
    n = len(texts)
    rows = np.arange(n)
    shuffled = np.argsort(rows * _STEP % (n + 1), kind="stable")
    for order, name in ((shuffled, "shuffled"), (rows[::-1], "in reverse")):
        yield name, order, model.run([texts[i] for i in order])
    twice = np.concatenate([rows, rows])
    yield "repeated", twice, model.run([texts[i] for i in twice])
    for cut in _CUTS:
        for start in range(0, n, cut):
            part = rows[start : start + cut]
            how = "alone" if cut == 1 else f"in batches of {cut}"
            yield how, part, model.run([texts[i] for i in part])


def _differing(whole: Outputs, rows: npt.NDArray[np.int64], part: Outputs) -> npt.NDArray[np.bool_]:
    """(len(rows),) True where any output differs in any bit."""
    wrong = _bits_differ(whole.logits[rows], part.logits)
    wrong |= _bits_differ(whole.probs[rows], part.probs)
    if whole.hidden is not None and part.hidden is not None:
        wrong |= _bits_differ(whole.hidden[rows], part.hidden)
    for name in ("slot_probs", "slot_hidden"):
        of_whole, of_part = getattr(whole, name), getattr(part, name)
        if of_whole is not None and of_part is not None:
            pairs = zip([of_whole[i] for i in rows], of_part, strict=True)
            wrong |= np.array([one.tobytes() != other.tobytes() for one, other in pairs])
    if whole.lengths is not None and part.lengths is not None:
        wrong |= whole.lengths[rows] != part.lengths
    return wrong


def _bits_differ(one: Floats, other: Floats) -> npt.NDArray[np.bool_]:
    bits = np.ascontiguousarray(one).view(np.uint32) != np.ascontiguousarray(other).view(np.uint32)
    found: npt.NDArray[np.bool_] = bits.any(axis=1)
    return found


def _on_grid(probs: Floats) -> npt.NDArray[np.int64]:
    """As law 7 rounds a score."""
    return np.rint(probs.astype(np.float64) * GRID).astype(np.int64)
