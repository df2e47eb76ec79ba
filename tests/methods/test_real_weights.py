"""Real weights: the bundled encoder as it is, a BERT, and the same weights as a DistilBERT."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from contract import is_head
from torch import Tensor, nn

from spantune.answering.batches import training_batch
from spantune.answering.labels import ANSWER
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import make_windows
from spantune.config import BUNDLED, WindowConfig
from spantune.data import load_corpus
from spantune.methods import methods
from spantune.modeling import SpanModel, build, load_tokenizer
from spantune.modeling.encoders import BUNDLED_PACKAGE, BUNDLED_REQUIREMENT, locate
from spantune.modeling.loss import span_loss

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(BUNDLED_PACKAGE) is None, reason=f"{BUNDLED_REQUIREMENT} is not installed"
)
# BERT's names and DistilBERT's, in the order in which they are exchanged.
RENAMED = {
    "encoder.layer.": "transformer.layer.",
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    ".output.dense": ".ffn.lin2",
    ".output.LayerNorm": ".output_layer_norm",
}
# One of each kind for `make test`; `make test-all` trains all.
SHORT = {
    "bert": ("bottleneck", "prompt-encoder"),
    "distilbert": ("lora",),
}
EVERY = [
    pytest.param(name, kind, marks=[] if name in short else [pytest.mark.exhaustive])
    for name in methods()
    for kind, short in SHORT.items()
]


def as_distilbert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A BERT's weights under DistilBERT's names; the embedding of segment 0 goes into the positions."""
    segment = state["embeddings.token_type_embeddings.weight"][0]
    made = {}
    for name, weight in state.items():
        if "token_type" in name or name.startswith("pooler") or name.endswith("position_ids"):
            continue
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        made[name] = weight + segment if "position_embeddings" in name else weight
    return made


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The names of both for `build`."""
    from safetensors.torch import load_file
    from transformers import BertConfig, DistilBertConfig, DistilBertModel

    bert = Path(locate(BUNDLED))
    its = BertConfig.from_pretrained(bert)
    config = DistilBertConfig(
        vocab_size=its.vocab_size,
        dim=its.hidden_size,
        n_layers=its.num_hidden_layers,
        n_heads=its.num_attention_heads,
        hidden_dim=its.intermediate_size,
        max_position_embeddings=its.max_position_embeddings,
    )
    with torch.device("meta"):
        encoder = DistilBertModel(config)
    encoder.load_state_dict(as_distilbert(load_file(bert / "model.safetensors")), assign=True)
    folder = tmp_path_factory.mktemp("distilbert")
    encoder.save_pretrained(folder)
    load_tokenizer(BUNDLED).save_pretrained(folder)
    return {"bert": BUNDLED, "distilbert": str(folder)}


@pytest.fixture(scope="module")
def batch_for() -> Callable[[SpanModel], dict[str, Tensor]]:
    """Four short windows of the sample, each with an answer, for a model."""
    tokenizer: PreTrainedTokenizerFast = load_tokenizer(BUNDLED)
    corpus = load_corpus("sample")
    few = type(corpus).of(corpus.examples[:12], "few")

    @cache
    def made(segment_ids: bool) -> dict[str, Tensor]:
        rules = window_rules(WindowConfig(64, 16), tokenizer, longest=128, segment_ids=segment_ids)
        windows = make_windows(few, tokenizer, rules, cache=False).dataset
        chosen = [row for row, kind in enumerate(windows["kind"]) if kind == ANSWER][:4]
        return training_batch(windows[chosen], pad_token_id=0, which="all")

    return lambda model: made(model.sends_segment_ids)


@torch.no_grad()
def test_both_give_the_same_hidden_states_and_logits(encoders: dict[str, str], batch_for: Any) -> None:
    """Of whole windows, question and context in segment 0; the second segment is what DistilBERT does not have."""
    models = {kind: build(name, "head-only").eval() for kind, name in encoders.items()}
    bert, distilbert = models["bert"], models["distilbert"]
    distilbert.network.qa_outputs.load_state_dict(bert.network.qa_outputs.state_dict())
    batch = batch_for(bert)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    segments = {"bert": {"token_type_ids": torch.zeros_like(ids)}, "distilbert": {}}
    hidden, logits = {}, {}
    for kind, model in models.items():
        states = model.network(ids, attention_mask=mask, output_hidden_states=True, **segments[kind]).hidden_states
        hidden[kind] = torch.stack(states)[:, mask.bool()]
        logits[kind] = torch.stack(list(model(ids, mask, **segments[kind])))[:, mask.bool()]
    assert len(hidden["bert"]) == bert.config.num_hidden_layers + 1
    torch.testing.assert_close(hidden["distilbert"], hidden["bert"], rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(logits["distilbert"], logits["bert"], rtol=1e-4, atol=1e-5)
    with_segments = torch.stack(list(bert(ids, mask, batch["token_type_ids"])))[:, mask.bool()]
    assert not torch.allclose(with_segments, logits["bert"], atol=1e-2), "the second segment says something"


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_every_method_learns(name: str, kind: str, encoders: dict[str, str], batch_for: Any) -> None:
    """With default options, at the default rate: after three steps the loss is lower and the encoder is as it was."""
    model = build(encoders[kind], name).train()
    batch = batch_for(model)
    inputs = {key: tensor for key, tensor in batch.items() if key not in ("starts", "ends", "allowed")}
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    kept = {key: float(weight.detach().sum()) for key, weight in model.named_parameters() if not weight.requires_grad}
    assert any(weight.requires_grad and is_head(model, key) for key, weight in model.named_parameters())
    optimiser = torch.optim.AdamW(learning, lr=model.method.learning_rate, weight_decay=0.0)
    losses = []
    for _ in range(4):
        logits = model(**inputs)
        assert all(torch.isfinite(one).all() for one in logits)
        loss = span_loss(logits, batch["starts"], batch["ends"], batch["allowed"]).mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
    assert losses[-1] < losses[0]
    after = dict(model.named_parameters())
    assert all(float(after[key].detach().sum()) == before for key, before in kept.items())
