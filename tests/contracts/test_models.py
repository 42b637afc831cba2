"""The law of every kind of model: a score is a function of (text, checkpoint) alone, bit by bit."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scoring.models
from scoring.models import base, graph
from scoring.models.base import Files, Kind, NotInvariant, softmax
from scoring.models.selftest import PROBES, self_test
from scoring.models.table import table_files
from scoring.types import Model, Outputs
from tests import tiny_bert

FILES: dict[str, Callable[[], Files]] = {
    "onnx": tiny_bert.onnx_files,
    "torch": tiny_bert.hf_files,
    "table": lambda: table_files(tiny_bert.LABELS, {"stop": [0.0, 1.0, 2.0, 3.0, -4.0]}),
}
ODD = (
    "",
    "   ",
    "turn\x00 on\tthe\nlight",
    "\ud800 alone",
    "🎵" * 50,
    "Z̷̢a̸l̵g̶o̴" * 9,
    "x" * 200_000,
    "turn on " * 25_000,
    "電気を消して",
    "[SEP] [PAD] [MASK]",
)


def kinds() -> list[str]:
    """Modules of the folder that are kinds: those that can build."""
    names = [module.name for module in pkgutil.iter_modules(scoring.models.__path__)]
    modules = {name: importlib.import_module(f"scoring.models.{name}") for name in names}
    return [name for name, module in modules.items() if hasattr(module, "build")]


def kind_of(name: str) -> Kind:
    return importlib.import_module(f"scoring.models.{name}")  # type: ignore[return-value]


@pytest.fixture(scope="module", params=kinds())
def models(request: pytest.FixtureRequest) -> Iterator[tuple[Model, Model]]:
    """One kind with one thread and with two."""
    files = FILES[request.param]()
    built = (kind_of(request.param).build(files, 1), kind_of(request.param).build(files, 2))
    yield built
    for model in built:
        model.close()


def bits(outputs: Outputs) -> list[bytes]:
    """Everything that a row says."""
    hidden = outputs.hidden
    columns = [outputs.logits, outputs.probs] + ([] if hidden is None else [hidden])
    return [b"".join(column[row].tobytes() for column in columns) for row in range(len(columns[0]))]


def test_every_kind_is_tested_and_named_as_an_engine() -> None:
    assert set(kinds()) == set(FILES) == set(base.ENGINES.values())
    assert all(kind_of(name).precision == "fp32" for name in kinds())


def test_row_sums_shapes_and_finite_values(models: tuple[Model, Model]) -> None:
    outputs = models[0].run(PROBES)
    n, k = len(PROBES), len(tiny_bert.LABELS)
    assert outputs.logits.shape == outputs.probs.shape == (n, k)
    assert outputs.hidden is not None and len(outputs.hidden) == n
    for column in (outputs.logits, outputs.probs, outputs.hidden):
        assert column.dtype == np.float32
        assert np.isfinite(column).all()
    np.testing.assert_allclose(outputs.probs.sum(axis=1), 1, atol=1e-6)
    assert (outputs.probs.argmax(axis=1) == outputs.logits.argmax(axis=1)).all()
    assert len({row.tobytes() for row in outputs.probs}) > n // 2, "texts are told apart"


def test_self_test_passes(models: tuple[Model, Model]) -> None:
    for model in models:
        self_test(model, [*PROBES, *ODD])


WORD = st.sampled_from(tiny_bert.WORDS[:25])
TEXTS = st.lists(
    st.one_of(st.lists(WORD, max_size=12).map(" ".join), st.text(max_size=30)), max_size=40
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=TEXTS, data=st.data())
def test_score_is_a_function_of_the_text_alone(
    models: tuple[Model, Model], texts: list[str], data: st.DataObject
) -> None:
    alone, threaded = models
    whole = bits(alone.run(texts))
    assert [bits(alone.run([text]))[0] for text in texts] == whole, "one by one"
    order = data.draw(st.permutations(range(len(texts))))
    shuffled = bits(threaded.run([texts[i] for i in order]))
    assert shuffled == [whole[i] for i in order], "shuffled, two threads"
    cut = data.draw(st.integers(0, len(texts)))
    assert bits(threaded.run(texts[:cut])) + bits(alone.run(texts[cut:])) == whole, "cut"


def test_odd_texts_raise_nothing(models: tuple[Model, Model]) -> None:
    outputs = models[1].run(ODD)
    assert len(outputs.logits) == len(ODD)
    assert np.isfinite(outputs.logits).all()


def test_no_texts_give_outputs_of_no_rows(models: tuple[Model, Model]) -> None:
    outputs = models[0].run([])
    assert outputs.logits.shape == outputs.probs.shape == (0, len(tiny_bert.LABELS))
    assert outputs.hidden is not None
    assert len(outputs.hidden) == 0


def test_long_texts_are_cut_to_the_same_tokens(models: tuple[Model, Model]) -> None:
    longest = "turn on the light " * 200
    outputs = models[0].run([longest, longest + "off", "turn on the light"])
    same = outputs.logits[0].tobytes() == outputs.logits[1].tobytes()
    assert same != models[0].engine.startswith("table"), "a table has no tokens: texts are whole"
    assert outputs.logits[0].tobytes() != outputs.logits[2].tobytes()


def test_models_say_what_they_are(models: tuple[Model, Model]) -> None:
    for model in models:
        assert model.classes == tiny_bert.LABELS
        assert "fp32" in model.engine
    assert models[0].engine == models[1].engine, "threads change no score: no part of the name"
    assert models[0].fingerprint == models[1].fingerprint


def test_export_and_origin_agree() -> None:
    texts = [text for text in (*PROBES, *ODD) if "\ud800" not in text]
    assert graph.parity(tiny_bert.onnx_files(), tiny_bert.hf_files(), texts) <= 1e-4


def test_hidden_is_what_the_last_layer_reads() -> None:
    state = tiny_bert.tensors()
    weight, bias = state["classifier.weight"], state["classifier.bias"]
    for name in ("onnx", "torch"):
        outputs = kind_of(name).build(FILES[name](), 1).run(PROBES)
        assert outputs.hidden is not None
        np.testing.assert_allclose(outputs.hidden @ weight.T + bias, outputs.logits, atol=1e-5)


class Leaky:
    """A batch-wide scale, as dynamic int8 quantisation has, or a leak as asked."""

    classes = tiny_bert.LABELS
    fingerprint = "0"
    engine = "leaky"

    def __init__(self, leak: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]) -> None:
        self._leak = leak

    def run(self, texts: Sequence[str]) -> Outputs:
        lengths = np.array([len(text) for text in texts], dtype=np.float32)
        logits = np.outer(lengths / 40, np.arange(5, dtype=np.float32)).astype(np.float32)
        logits = self._leak(logits).astype(np.float32)
        return Outputs(logits, softmax(logits))

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("leak", "how"),
    [
        (lambda x: np.round(x / (x.max() + 1e-9) * 127) * (x.max() / 127), "as rounded"),
        (lambda x: np.nextafter(x, np.float32(9)) if len(x) % 2 else x, "in the last bits"),
        (lambda x: x + np.arange(len(x))[:, None], "as rounded|last bits"),
        (lambda x: x + np.float32(np.nan), "NaN"),
    ],
    ids=["scale of the batch", "last bit by count", "slot in the batch", "nan"],
)
def test_self_test_catches(leak: Callable[..., npt.NDArray[np.float32]], how: str) -> None:
    with pytest.raises(NotInvariant, match=how):
        self_test(Leaky(leak))


def test_self_test_accepts_what_does_not_leak() -> None:
    self_test(Leaky(lambda x: x))
    self_test(Leaky(lambda x: x), [])
