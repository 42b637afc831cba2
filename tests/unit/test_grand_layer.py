"""GraNd of an encoder layer: against autograd, differences and the closed form; who is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from scoring.kinds import load
from scoring.models import onnx, torch_layers
from scoring.models import torch as torch_engine
from scoring.models.base import NotInvariant, softmax
from scoring.models.ensemble import Pinned, ensemble
from scoring.models.selftest import PROBES, layer_test
from scoring.models.torch_layers import Layers
from scoring.scorer import Scorer, Unsupplied
from scoring.types import GRID, UNKNOWN_LABEL, Floats, Ints, Model, Outputs, Score
from tests import tiny_bert
from tests.tiny_joint import described, exported, files

TEXTS = ("turn on the light in the kitchen", "what's the weather", "", "stop  it\tnow", "music")
SMALL: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 40, "num_labels": 5, "pad_token_id": 0,
    "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 1, "cls_token_id": 1,
    "sep_token_id": 1,
}  # fmt: skip
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": {},
    "albert": {"embedding_size": 16},  # three times the same layer
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": {},
    "mobilebert": {  # lists within layers
        "embedding_size": 16, "intra_bottleneck_size": 16, "initializer_range": 0.05,
    },
    "bart": {
        "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    },
}  # fmt: skip

LAST = {
    "bert": "bert.encoder.layer.2",
    "albert": "albert.encoder.albert_layer_groups.0",
    "deberta-v2": "deberta.encoder.layer.2",
    "modernbert": "model.layers.2",
    "mobilebert": "mobilebert.encoder.layer.2",
}


def network_of(kind: str) -> Any:
    """A random network as the engine loads it."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(kind, **{**SMALL, **ARCHITECTURES[kind]})
    auto: Any = transformers.AutoModelForSequenceClassification
    made = auto.from_config(config, dtype=torch.float32, attn_implementation="eager")
    return made.eval().requires_grad_(False)


def loss_of(network: Any, ids: torch.Tensor, label: int) -> torch.Tensor:
    """Cross-entropy of one row; a class outside the k has no logit, hence probability 0."""
    logits = network(input_ids=ids[None], attention_mask=torch.ones_like(ids[None])).logits
    if label < 0:
        return torch.logsumexp(logits[0], 0)
    return cross_entropy(logits, torch.tensor([label]))


def by_autograd(network: Any, part: str, ids: torch.Tensor, label: int) -> float:
    """One row at a time, with nothing beside it."""
    parameters = list(network.get_submodule(part).parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    found = torch.autograd.grad(loss_of(network, ids, label), parameters, allow_unused=True)
    for parameter in parameters:
        parameter.requires_grad_(False)
    return float(sum((one.double() ** 2).sum() for one in found if one is not None)) ** 0.5


@pytest.mark.parametrize("kind", LAST)
def test_every_row_s_gradient_is_that_of_autograd(kind: str) -> None:
    network = network_of(kind)
    layers = Layers(network)
    assert layers.names[-1] == LAST[kind] and len(layers.names) == (1 if kind == "albert" else 3)
    ids = torch.randint(2, 59, (11, 7), generator=torch.Generator().manual_seed(1))
    classes = torch.tensor([0, 1, 2, 3, 4, UNKNOWN_LABEL, 0, 1, 2, 3, UNKNOWN_LABEL])
    for part in layers.names:
        expected = [
            by_autograd(network, part, row, label)
            for row, label in zip(ids, classes.tolist(), strict=True)
        ]
        assert min(expected) > 1e-3 and len(set(expected)) == 11
        np.testing.assert_allclose(layers.lengths(part, ids, classes), expected, rtol=2e-5)


def test_by_finite_differences() -> None:
    """Without autograd: move each parameter of a normalising layer, and see how the loss moves."""
    network = network_of("bert")
    part, ids, label = "bert.encoder.layer.1.output.LayerNorm", torch.tensor([5, 17, 4, 30]), 2
    found = float(Layers(network).lengths(part, ids[None], torch.tensor([label]))[0])
    network.double()
    slopes = []
    for parameter in network.get_submodule(part).parameters():
        for at in range(parameter.numel()):
            kept = parameter[at].item()
            parameter[at] = kept + 1e-6
            up = float(loss_of(network, ids, label))
            parameter[at] = kept - 1e-6
            slopes.append((up - float(loss_of(network, ids, label))) / 2e-6)
            parameter[at] = kept
    assert len(slopes) == 64
    assert found == pytest.approx(np.linalg.norm(slopes), rel=1e-4)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[torch_engine.TorchModel, torch_engine.TorchModel]]:
    built = tuple(torch_engine.TorchModel(files(*described(0)), threads) for threads in (1, 3))
    yield cast(tuple[torch_engine.TorchModel, torch_engine.TorchModel], built)
    for model in built:
        model.close()


Pair = tuple[torch_engine.TorchModel, torch_engine.TorchModel]


def score(kind: str = "grand_layer", **options: object) -> Score:
    return cast(Score, load("scoring.scores", kind, options))


def test_of_the_head_it_is_the_closed_form(pair: Pair) -> None:
    model, labels = pair[0], np.array([0, 3, UNKNOWN_LABEL, 4, 1], np.int32)
    found = []
    for text, label in zip(TEXTS, labels.tolist(), strict=True):
        ids = torch.tensor(model._tokens.encode([text]))
        found.append(model._layers.lengths("classifier", ids, torch.tensor([label]))[0])
    outputs = model.run(TEXTS)
    known = Outputs(outputs.logits, outputs.probs, outputs.hidden, labels=labels)
    expected = np.expm1(score("grand")(known))
    # the closed form counts the row of weights that a class outside the k would have
    assert outputs.hidden is not None
    error = np.linalg.norm(outputs.probs[2]) * np.sqrt(1 + (outputs.hidden[2] ** 2).sum())
    assert error < expected[2]
    expected[2] = error
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_layer_is_chosen_by_the_score_s_option(pair: Pair) -> None:
    model, labels = pair[0], ["music", "timer", "weather", "unheard of", "light_on"]
    assert model.layers == 2

    def steps(**options: object) -> list[int]:
        scored = Scorer(model, [score(**options)]).score(TEXTS, labels)
        found: list[int] = scored.scores["grand_layer"].tolist()
        return found

    assert steps() == steps(layer=-1) == steps(layer=1) != steps(layer=0) == steps(layer=-2)
    classes = np.array([3, 4, 2, UNKNOWN_LABEL, 0], np.int32)
    for layer in (0, 1):
        lengths = model.layer_gradients(TEXTS, classes, layer)
        assert [round(float(np.log1p(one)) * GRID) for one in lengths] == steps(layer=layer)
    for layer in (2, -3):
        with pytest.raises(ValueError, match=f"no layer {layer}, this checkpoint has 2: ") as said:
            steps(layer=layer)
        assert "\n" not in str(said.value) and "options.layer is 0 to 1, or -1" in str(said.value)


ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(tiny_bert.WORDS[:25]), max_size=9).map(" ".join),
        st.sampled_from([UNKNOWN_LABEL, 0, 1, 2, 3, 4]),
    ),
    min_size=1,
    max_size=24,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, data=st.data())
def test_a_row_is_a_function_of_its_text_and_class_alone(
    pair: Pair, rows: list[tuple[str, int]], data: st.DataObject
) -> None:
    def lengths(model: torch_engine.TorchModel, some: Sequence[tuple[str, int]]) -> list[bytes]:
        texts, classes = [text for text, _ in some], np.array([c for _, c in some], np.int32)
        return [one.tobytes() for one in model.layer_gradients(texts, classes, 0)]

    one, three = pair
    whole = lengths(one, rows)
    assert [lengths(one, [row])[0] for row in rows] == whole, "one by one"
    order = data.draw(st.permutations(range(len(rows))))
    assert lengths(three, [rows[at] for at in order]) == [whole[at] for at in order]


def test_workers_do_not_meet_and_nothing_is_left_behind(pair: Pair) -> None:
    """`functional_call` replaces parameters of the network that it runs, for a moment."""
    one, three = pair
    texts = [f"{text} {word}" for text in PROBES for word in tiny_bert.WORDS[:12]]
    classes = (np.arange(len(texts)) % 5).astype(np.int32)
    before = one.run(PROBES).logits.tobytes(), three.run(PROBES).logits.tobytes()
    whole = one.layer_gradients(texts, classes, 0).tobytes()
    for _ in range(3):
        assert three.layer_gradients(texts, classes, 0).tobytes() == whole
    assert (one.run(PROBES).logits.tobytes(), three.run(PROBES).logits.tobytes()) == before
    assert not any(p.requires_grad for p in three._network.parameters())
    layer_test(three, "three")


def test_memory_is_bounded_by_rows_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, ids = Layers(network_of("bert")), torch.randint(2, 59, (9, 6))
    classes, part, calls = torch.arange(9) % 5, layers.names[-1], []
    real = torch_layers._filled

    def counting(some: torch.Tensor, rows: int) -> torch.Tensor:
        calls.append(rows)
        return real(some, rows)

    monkeypatch.setattr(torch_layers, "_filled", counting)
    whole = layers.lengths(part, ids, classes)
    assert set(calls) == {torch_layers.ROWS} and len(calls) == 4
    entries = sum(p.numel() for p in layers._network.get_submodule(part).parameters())
    for room, rows in ((1, 1), (2 * entries, 2), (3 * entries - 1, 2)):
        calls.clear()
        monkeypatch.setattr(torch_layers, "ENTRIES", room)
        np.testing.assert_allclose(layers.lengths(part, ids, classes), whole, rtol=1e-5)
        assert set(calls) == {rows}


def test_engines_without_a_backward_pass_and_what_vmap_cannot_run_are_refused() -> None:
    graph = onnx.build(files(*exported(0)), 1)
    for model in (graph, ensemble(Pinned(graph), [Pinned(graph)])):
        with pytest.raises(Unsupplied, match=r"'grand_layer'.* runs no backward pass"):
            Scorer(model, [score()])
    graph.close()
    assert Layers(network_of("bart")).names == (), "its last state is where the text ends"
    assert Layers(torch.nn.Linear(2, 2)).names == ()


class Layered:
    """Of two layers; its lengths tell text, class and layer."""

    classes, fingerprint, engine, layers = ("alarm", "lights"), "layered", "layered", 2

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def run(self, texts: Sequence[str]) -> Outputs:
        logits = np.ones((len(texts), 2), np.float32)
        return Outputs(logits, softmax(logits))

    def layer_gradients(self, texts: Sequence[str], classes: Ints, layer: int) -> Floats:
        self.asked = list(zip(texts, classes.tolist(), strict=True))
        lengths = [len(text) + 10 * (c + 3) + 100 * (layer % 2) for text, c in self.asked]
        return np.array(lengths, np.float32)

    def close(self) -> None: ...


def test_each_text_is_derived_once_for_each_label_it_has() -> None:
    model = Layered()
    tempered = ensemble(Pinned(cast(Model, model), 2 * GRID))
    scorer = Scorer(tempered, [score(layer=0)])
    column = scorer.score(
        ["a", "bb", "a", "a", "a"], ["alarm", "lights", None, "unheard of", "alarm"]
    ).scores["grand_layer"]
    lengths = np.expm1(column[[0, 1, 3, 4]] / GRID)
    np.testing.assert_allclose(lengths, [31, 42, 11, 31], rtol=1e-3)
    assert column[2] == -1
    assert model.asked == [("a", 0), ("bb", 1), ("a", UNKNOWN_LABEL)]
    assert scorer.score(["c"], [None]).scores["grand_layer"].tolist() == [-1]


def test_lengths_that_leak_are_refused() -> None:
    class Leaky(Layered):
        def layer_gradients(self, texts: Sequence[str], classes: Ints, layer: int) -> Floats:
            return np.full(len(texts), len(texts), np.float32)

    with pytest.raises(NotInvariant, match="leave scores that need a gradient out"):
        layer_test(Leaky(), "leaky")
    layer_test(Layered(), "sound")
