"""What every method promises on every encoder, each promise a function that raises AssertionError where it is broken.

They are plain functions on a cell and its model, so that `test_mutations.py` can show that each goes red.
"""

from __future__ import annotations

import json
import re
import struct
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from cells import WITH_SEGMENTS, Cell, has_costs_of_its_own
from formulas import expected
from tiny import ANSWERING
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spantune.answering import batches
from spantune.answering.engine import answer_windows
from spantune.config import DecodeConfig
from spantune.errors import EncoderError, MethodError
from spantune.modeling import SpanModel, costs_of, count_parameters, load, save
from spantune.modeling.costs import TOKENS, WINDOWS
from spantune.modeling.kernels.weight_casting import cast_linear_weights
from spantune.modeling.loss import span_loss

# MobileBERT's embedding of a token looks at its neighbours, so that the last one sees the padding's ids.
PADDING_IS_SEEN = ("mobilebert",)
# Methods that need the encoder's weights unrounded.
COMPUTES_WITH_THE_ENCODERS_WEIGHTS = {"dora"}
# Transformers has no gradient checkpointing there.
NO_CHECKPOINTING = ("albert", "mpnet")


def loss_of(model: SpanModel, cell: Cell) -> Tensor:
    batch = cell.encoder.batch
    return span_loss(model(**cell.inputs), batch["starts"], batch["ends"], batch["allowed"]).mean()


def train(model: SpanModel, cell: Cell, *, steps: int, head_rate: float | None = None) -> list[float]:
    """Full-batch Adam at the method's own rate, clipped as the Trainer clips; the loss before each step."""
    rate = model.method.learning_rate
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimiser = torch.optim.Adam(
        {"params": weight, "lr": head_rate if head_rate and is_head(model, name) else rate}
        for name, weight in learning.items()
    )
    losses = []
    model.train()
    for _ in range(steps):
        loss = loss_of(model, cell)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning.values(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    model.eval()
    return losses


def is_head(model: SpanModel, name: str) -> bool:
    """Whether a parameter of the model scores tokens, whatever wraps it."""
    return any(f".{head}." in f".{name}" for head in model.architecture.heads)


@torch.no_grad()
def logits_of(model: SpanModel, inputs: dict[str, Tensor]) -> Tensor:
    """Start and end, (2, B, L)."""
    return torch.stack(list(model.eval()(**inputs)))


def answers_of(model: SpanModel, cell: Cell) -> list[str]:
    answered = answer_windows(
        model,
        cell.encoder.windows,
        pad_token_id=cell.encoder.tokenizer.pad_token_id,
        decode=DecodeConfig(),
        dtype=torch.float32,
        squad_v2=True,
    )
    return list(answered.texts.values())


# Promises of a model as it is built


def parameters_are_those_of_the_paper(cell: Cell, model: SpanModel) -> None:
    counted = model.count_parameters()
    assert expected(cell.name, cell.encoder.family) in (None, (counted.trainable, counted.head))
    assert count_parameters(cell.model, cell.method, cell.options) == counted, "counted without weights"


def a_seed_gives_one_model(cell: Cell, model: SpanModel, same: SpanModel, other: SpanModel) -> None:
    """`model` and `same` were built with one seed, `other` with another."""
    assert torch.equal(logits_of(model, cell.inputs), logits_of(same, cell.inputs))
    assert not torch.equal(logits_of(model, cell.inputs), logits_of(other, cell.inputs))


def an_untrained_adapter_changes_no_logit(cell: Cell, model: SpanModel) -> None:
    """It begins as the identity, so that training starts from what the encoder knows; virtual tokens cannot."""
    before, made = (logits_of(one, cell.inputs) for one in (cell.encoder.plain, model))
    if model.virtual is None:
        torch.testing.assert_close(made, before, rtol=1e-4, atol=1e-4)
    else:
        assert not torch.allclose(made, before, atol=1e-3)


def the_longest_window_fits(cell: Cell, model: SpanModel) -> None:
    longest = {key: tensor[:2, 1:2].expand(-1, model.max_length).contiguous() for key, tensor in cell.inputs.items()}
    assert logits_of(model, longest).shape == (2, 2, model.max_length)


def logits_belong_to_the_windows_own_tokens(cell: Cell, model: SpanModel) -> None:
    """(B, L), each the head's opinion on the hidden state of its own token, virtual tokens or not."""
    scored: list[Tensor] = []
    last = model.architecture.heads[-1]
    head = next(module for name, module in model.named_modules() if name.endswith(last))
    hook = head.register_forward_hook(lambda module, given, made: scored.append(made))
    try:
        logits = logits_of(model, cell.inputs)
    finally:
        hook.remove()
    batch, length = cell.inputs["input_ids"].shape
    assert logits.shape == (2, batch, length)
    own = scored[0][:, scored[0].shape[1] - length :]  # Virtual tokens stand before the window's own.
    assert torch.equal(logits, own.permute(2, 0, 1))


def labels_point_at_the_gold_tokens(cell: Cell, model: SpanModel) -> None:
    """The tokens from start to end of the model's own (B, L) are the answer's, and "no answer" is the first token."""
    windows, tokenizer = cell.encoder.windows, cell.encoder.tokenizer
    rows = windows.dataset[:]
    marked = batches.labels(rows, "all")
    ids = batches.model_inputs(rows, tokenizer.pad_token_id)["input_ids"]
    assert logits_of(model, cell.inputs).shape[1:] == ids.shape
    for row, example in enumerate(windows.corpus.examples):
        start, end = int(marked["starts"][row, 0]), int(marked["ends"][row, 0])
        if not example.answers:
            assert start == end == 0
            continue
        assert tokenizer.decode(ids[row, start : end + 1]) == example.answers[0].text.lower()


def segment_ids_reach_the_encoder(cell: Cell, model: SpanModel) -> None:
    """They change the logits where the encoder tells segments apart, and do not travel elsewhere."""
    inputs, has_segments = cell.inputs, cell.encoder.family in WITH_SEGMENTS
    assert model.sends_segment_ids == has_segments == ("token_type_ids" in inputs)
    if not has_segments:
        return
    swapped = {**inputs, "token_type_ids": 1 - inputs["token_type_ids"]}
    without = {key: tensor for key, tensor in inputs.items() if key != "token_type_ids"}
    right = logits_of(model, inputs)
    assert not torch.allclose(right, logits_of(model, swapped), atol=1e-3)
    assert not torch.allclose(right, logits_of(model, without), atol=1e-3)


# Promises of a trained model


def what_should_learn_learns_and_the_rest_stays(cell: Cell, model: SpanModel) -> None:
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    # More than one step: the inner factors of LoRA and its kin have no gradient while the outer ones are zero.
    losses = train(model, cell, steps=4)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == learning
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    assert any(is_head(model, name) for name in moved)
    assert model.method.whole_encoder == (len(moved) == len(before))
    assert min(losses[1:]) < losses[0]


def padding_changes_no_logit(cell: Cell, model: SpanModel) -> None:
    """A window alone and among longer ones. Only a trained model shows it: many adapters begin as the identity."""
    inputs = cell.inputs
    alone = {key: tensor[:1, : int(inputs["attention_mask"][0].sum())] for key, tensor in inputs.items()}
    longer = {key: nn.functional.pad(tensor, (0, 7), value=0) for key, tensor in inputs.items()}
    filler = cell.encoder.tokenizer.pad_token_id if cell.encoder.family in PADDING_IS_SEEN else 9
    longer["input_ids"][longer["attention_mask"] == 0] = filler
    length = alone["input_ids"].shape[1]
    torch.testing.assert_close(logits_of(model, longer)[:, :1, :length], logits_of(model, alone), rtol=2e-5, atol=2e-5)


def loading_gives_the_same_logits(cell: Cell, model: SpanModel, folder: Path) -> None:
    tokenizer = cell.encoder.tokenizer
    size = save(model, folder, settings=ANSWERING, tokenizer=tokenizer)
    assert size == sum(file.stat().st_size for file in folder.glob("*.safetensors")) > 0
    torch.manual_seed(99)  # What is not loaded would be drawn anew.
    saved = load(folder)
    assert saved.settings == ANSWERING and saved.model.identity == model.identity
    assert saved.tokenizer.get_vocab() == tokenizer.get_vocab() and not saved.model.training
    # Bit-identical, but for virtual tokens that came out of a network: that is folded away when they are saved.
    folded = model.virtual is not None and len(list(model.virtual.parameters())) > 1
    close = {"rtol": 1e-5, "atol": 1e-5} if folded else {"rtol": 0.0, "atol": 0.0}
    torch.testing.assert_close(logits_of(saved.model, cell.inputs), logits_of(model, cell.inputs), **close)
    # A second round trip loses nothing, either.
    save(saved.model, folder / "again", settings=ANSWERING, tokenizer=tokenizer)
    for file in folder.glob("*.safetensors"):
        assert (folder / "again" / file.name).read_bytes() == file.read_bytes()


def costs_are_those_of_the_saved_model(cell: Cell, model: SpanModel, folder: Path) -> None:
    """What is said without weights: bytes of the saved tensors, and the matrix products of a forward pass."""
    save(model, folder, settings=ANSWERING, tokenizer=cell.encoder.tokenizer)
    counted = costs_of(cell.model, cell.method, cell.options)
    assert counted.parameters == model.count_parameters()
    assert counted.saved_bytes == bytes_of_tensors(folder)
    if not has_costs_of_its_own(cell.name, cell.encoder.family):
        return
    tokens = min(TOKENS, model.max_length)
    plain = matrix_products(cell.encoder.plain, tokens)
    assert counted.forward == matrix_products(load(folder).model, tokens) / plain


def rounded_weights_change_no_logit(cell: Cell, model: SpanModel) -> None:
    """Weights stored as autocast rounds them: not by a bit."""
    rounded = deepcopy(model)
    with torch.autocast("cpu", torch.bfloat16):
        before, held = logits_of(rounded, cell.inputs), linear_bytes(rounded)
        freed = cast_linear_weights(rounded, torch.bfloat16)
        assert torch.equal(logits_of(rounded, cell.inputs), before)
    assert freed == held - linear_bytes(rounded), "what it says is what became free"
    assert (freed == 0) == (cell.method in COMPUTES_WITH_THE_ENCODERS_WEIGHTS)


def linear_bytes(model: SpanModel) -> int:
    layers = [module for module in model.modules() if type(module) is nn.Linear]
    return sum(weight.nbytes for layer in layers for weight in layer.parameters(recurse=False))


def bytes_of_tensors(folder: Path) -> int:
    """What the weights take in the safetensors files of a folder, without their headers."""
    total = 0
    for file in folder.glob("*.safetensors"):
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        described = json.loads(content[8 : 8 + length])
        described.pop("__metadata__", None)
        assert {tensor["dtype"] for tensor in described.values()} == {"F32"}
        total += len(content) - 8 - length
    return total


def matrix_products(model: SpanModel, tokens: int) -> int:
    """Of a batch with mask and segment ids, through the real weights."""
    ids = torch.randint(5, 100, (WINDOWS, tokens), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.sends_segment_ids:
        inputs["token_type_ids"] = (torch.arange(tokens) > 4).long().expand(WINDOWS, -1)
    # The fused kernel of the CPU is not among those that are counted.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.eval()(**inputs)
    return counter.get_total_flops()


def merging_changes_no_logit(cell: Cell, model: SpanModel) -> None:
    """It works in place, so it comes last."""
    if not model.method.mergeable:
        with pytest.raises(MethodError, match="cannot be merged") as raised:
            model.merge()
        assert "lora" in str(raised.value)
        return
    before, plain = logits_of(model, cell.inputs), cell.encoder.plain
    assert not torch.allclose(before, logits_of(plain, cell.inputs), atol=1e-3), "there is something to merge"
    merged = model.merge()
    torch.testing.assert_close(logits_of(merged, cell.inputs), before, rtol=1e-4, atol=1e-4)
    assert {name for name, _ in merged.named_parameters()} == {name for name, _ in plain.named_parameters()}


# Promises that take longer


def a_few_steps_overfit_four_examples(cell: Cell) -> None:
    model = cell.build(seed=1)
    losses = train(model, cell, steps=40, head_rate=0.1)
    assert losses[-1] < 0.2 * losses[0]
    examples = cell.encoder.windows.corpus.examples
    assert answers_of(model, cell) == [example.answers[0].text if example.answers else "" for example in examples]


def gradients_of(model: SpanModel, cell: Cell) -> dict[str, Tensor]:
    """Of the loss, by name, while training."""
    model.train().zero_grad()
    loss_of(model, cell).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def bf16_agrees_with_fp32(cell: Cell, model: SpanModel) -> None:
    """bf16 keeps 8 bits: the logits err by some percent of their spread, the gradient keeps its direction."""
    real = cell.inputs["attention_mask"].bool()
    exact, slopes = logits_of(model, cell.inputs)[:, real], gradients_of(model, cell)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = logits_of(model, cell.inputs)[:, real].float()
        rough = gradients_of(model, cell)
    assert (rounded - exact).abs().max() < 0.2 * exact.std()
    assert rough.keys() == slopes.keys()
    one, other = (torch.cat([slope.flatten() for slope in each.values()]) for each in (slopes, rough))
    assert nn.functional.cosine_similarity(one, other, dim=0) > 0.95


def checkpointing_changes_no_gradient(cell: Cell, model: SpanModel) -> None:
    # Queries come first in a layer; transformers leaves the layer's own hooks out of the second pass.
    queries = re.compile(model.architecture.pattern(("query",)))
    passes: list[str] = []
    for name, module in model.named_modules():
        if queries.fullmatch(name):
            module.register_forward_pre_hook(lambda *_, name=name: passes.append(name))
    exact, once = gradients_of(model, cell), len(passes)
    if cell.encoder.family in NO_CHECKPOINTING:
        with pytest.raises(EncoderError, match="cannot compute its activations again"):
            model.recompute_activations()
        return
    model.recompute_activations()
    again = gradients_of(model, cell)
    assert once > 0 and len(passes) > 2 * once, "layers were not computed anew"
    assert again.keys() == exact.keys()
    for name, slope in exact.items():
        torch.testing.assert_close(again[name], slope, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text)
