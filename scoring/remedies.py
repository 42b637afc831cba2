"""What to do when a gate does not pass: one line each, for the person who publishes."""

from __future__ import annotations

from collections.abc import Mapping

from scoring.gates import Gate

REMEDIES: Mapping[Gate, str] = {
    Gate.LABELS: "publish a checkpoint that knows every intent of the edition before, two or more, "
    "each once; --allow-missing-labels lets intents go",
    Gate.GOLDEN: "give more different texts with --sample",
    Gate.FINITE: "the head does not fit the labels, or weights are broken: save the checkpoint "
    "again, in float32, and look at config.json and labels.json",
    Gate.INVARIANT: "on this engine and CPU its bits depend on the batch: publish it as ONNX "
    "(`sluice checkpoint export`), or on the CPU that will score",
    Gate.CONSTANT: "the head answers the same whatever it reads: was it saved after training, with "
    "the tokenizer that it was trained with?",
    Gate.TRAINED: "an untrained head, or a sample that is not its traffic: train it, or give "
    "labels as the checkpoint spells them; unknown= counts those that it has no class for",
    Gate.LENGTH: "long texts will be chosen for their length: another score (policy.select) or "
    "calibrated training mends it",
}
