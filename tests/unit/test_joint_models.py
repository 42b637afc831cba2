"""Slot heads, lengths and gradients: what engines give to scores beside intents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models

from scoring.models import onnx
from scoring.models import torch as torch_engine
from scoring.models.base import BadModel, NotInvariant
from scoring.models.selftest import PROBES, gradient_test, self_test
from scoring.models.slots import read_tags
from scoring.models.tokens import Tokens
from scoring.types import Floats, Ints, Model
from tests import tiny_bert
from tests.tiny_joint import TAGS, described, exported, files, tensors

TEXTS = ("turn on the light in the kitchen", "what's the weather", "", "stop  it\tnow", "music")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Model, Model]]:
    built = (torch_engine.build(files(*described(0)), 1), onnx.build(files(*exported(0)), 2))
    yield built
    for model in built:
        model.close()


def test_both_engines_read_the_slot_head_and_agree(pair: tuple[Model, Model]) -> None:
    one, other = (model.run(TEXTS) for model in pair)
    assert [getattr(model, "tags", None) for model in pair] == [TAGS, TAGS]
    for name, width in (("slot_probs", len(TAGS)), ("slot_hidden", 32)):
        for text, left, right in zip(TEXTS, getattr(one, name), getattr(other, name), strict=True):
            assert left.shape == right.shape == (len(text.split()), width)
            np.testing.assert_allclose(left, right, atol=1e-4)
    assert one.slot_probs is not None and one.slot_hidden is not None
    state = tensors(0)
    for probs, read in zip(one.slot_probs, one.slot_hidden, strict=True):
        logits = read @ state["slot_classifier.weight"].T + state["slot_classifier.bias"]
        np.testing.assert_allclose(probs, torch.softmax(torch.from_numpy(logits), -1), atol=1e-5)


def test_lengths_are_tokens_as_read(pair: tuple[Model, Model]) -> None:
    tokens = Tokens(tiny_bert.tokenizer_json(), 24)
    expected = [len(ids) for ids in tokens.encode([*TEXTS, "turning " * 50])]
    for model in pair:
        lengths = model.run([*TEXTS, "turning " * 50]).lengths
        assert lengths is not None and lengths.tolist() == expected
        assert lengths[-1] == 24, "cut at the limit"


def test_rows_do_not_depend_on_neighbours(pair: tuple[Model, Model]) -> None:
    for model in pair:
        self_test(model, [*PROBES, *TEXTS, "turning " * 50])


def words_of(raw: bytes, text: str) -> list[str]:
    tokens = Tokens(raw, 12)
    vocabulary = json.loads(raw)["model"]["vocab"]
    names = {index: word for word, index in vocabulary.items()}
    (ids,), (firsts,) = tokens.encode([text]), tokens.first_pieces([text])
    return [names[ids[at]] for at in firsts]


def test_a_word_is_what_stands_between_white_space() -> None:
    raw = tiny_bert.tokenizer_json()
    assert words_of(raw, "what's  the\u00a0light?") == ["what", "the", "light"]
    # nothing of the second word is left after normalising: the token behind it speaks for it
    assert words_of(raw, "turn \u200d on") == ["turn", "on", "on"]
    assert words_of(raw, "turning " * 30) == ["turn"] * 5, "the cut leaves words out"


def test_a_token_of_blanks_belongs_to_no_word() -> None:
    """Byte-level vocabularies have one, and it ends where the word begins."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {sign: at for at, sign in enumerate(["<unk>", *signs])}
    built = Tokenizer(tokenizer_models.BPE(vocabulary, [], unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens = Tokens(built.to_str().encode(), 12)
    assert [at.tolist() for at in tokens.first_pieces(["on it  up", " a"])] == [[0, 3, 7], [1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slot_labels": ["O"]}, "names 1 tags, but the slot head gives 4"),
        ({"slot_labels": ["O", "O", "a", "b"]}, "names a tag twice"),
        ({"slot_labels": "O"}, "no list of names"),
        ({"slot_labels": [1, 2, 3, 4]}, "no list of names"),
    ],
)
def test_names_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    checkpoint, blobs = described(0)
    config = {**json.loads(blobs["config.json"]), **change}
    spoilt = {**blobs, "config.json": json.dumps(config).encode()}
    with pytest.raises(BadModel, match=message):
        torch_engine.build(files(checkpoint, spoilt), 1)


def test_half_a_slot_head_is_refused() -> None:
    checkpoint, blobs = described(0)
    state = {k: v for k, v in tensors(0).items() if k != "slot_classifier.bias"}
    with pytest.raises(BadModel, match="the slot head needs"):
        torch_engine.build(files(checkpoint, {**blobs, "model.safetensors": save(state)}), 1)
    with pytest.raises(BadModel, match="not JSON"):
        read_tags("[")
    assert read_tags(None) == ()


def test_gradients_are_of_the_class_s_logit_by_the_embeddings(pair: tuple[Model, Model]) -> None:
    """Against the logits themselves: each embedding entry moved a little, both ways."""
    model = pair[0]
    assert isinstance(model, torch_engine.TorchModel)
    texts, classes = ("turn on the light", "stop"), np.array([3, 1], np.int32)
    found = model.gradients(texts, classes)
    assert [one.shape for one in found] == [(6, 32), (3, 32)]
    for text, label, gradient in zip(texts, classes.tolist(), found, strict=True):
        (ids,) = model._tokens.encode([text])
        network = model._network
        given = torch.tensor([ids])
        base = network.get_input_embeddings()(given).detach()
        for token, entry in ((0, 0), (len(ids) - 1, 5), (1, 31)):
            step = torch.zeros_like(base)
            step[0, token, entry] = 1e-2
            with torch.no_grad():
                up, down = (
                    network(inputs_embeds=base + s, attention_mask=torch.ones_like(given)).logits
                    for s in (step, -step)
                )
            slope = float((up - down)[0, label] / 2e-2)
            assert gradient[token, entry] == pytest.approx(slope, abs=2e-2, rel=2e-2)


def test_gradients_do_not_depend_on_neighbours(pair: tuple[Model, Model]) -> None:
    model = pair[0]
    assert isinstance(model, torch_engine.TorchModel)
    texts = [*PROBES, *TEXTS, "turn off"] * 3
    classes = (np.arange(len(texts)) % 5).astype(np.int32)
    whole = model.gradients(texts, classes)
    for start in range(0, len(texts), 7):
        part = slice(start, start + 7)
        for one, other in zip(
            model.gradients(texts[part], classes[part]), whole[part], strict=True
        ):
            assert one.tobytes() == other.tobytes()
    before = model.run(PROBES)
    model.gradients(PROBES, np.zeros(len(PROBES), np.int32))
    assert model.run(PROBES).logits.tobytes() == before.logits.tobytes(), "leaves no trace"


def test_gradients_that_leak_are_refused() -> None:
    class Leaky:
        depth = 1

        def gradients(self, texts: Sequence[str], classes: Ints) -> tuple[Floats, ...]:
            return tuple(np.full((1, 2, 2), len(texts), np.float32) for _ in classes)

    with pytest.raises(NotInvariant, match="leave scores that need a gradient out"):
        gradient_test(Leaky(), "leaky")
