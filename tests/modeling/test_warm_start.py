"""What a trained model learned, put into a fresh one of the same method or of another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cells import SMALL
from tiny import ANSWERING
from torch import Tensor

from spantune.errors import MethodError
from spantune.methods import methods
from spantune.modeling import SpanModel, build, load, load_tokenizer, save
from spantune.modeling.warm_start import Weights, begin_with, go_on_from, plain_weights

RANK = 2


def learned(encoder: Path, method: str, seed: int) -> SpanModel:
    """As if it had learned: every weight that can is moved."""
    model, chance = build(str(encoder), method, SMALL.get(method, {})), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=chance), alpha=0.1)
    return model.eval()


def weights_of(encoder: Path, method: str) -> Weights:
    return plain_weights(learned(encoder, method, 0))


def saved_and_loaded(model: SpanModel, encoder: Path, folder: Path) -> SpanModel:
    save(model, folder, settings=ANSWERING, tokenizer=load_tokenizer(str(encoder)))
    return load(folder).model


SHORT = ("adalora", "bitfit", "bottleneck", "full", "lora", "pissa", "prefix-tuning", "vera")


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(one, marks=[] if one in SHORT else [pytest.mark.exhaustive])
        for one in sorted(set(methods()) - {"prompt-encoder"})
    ],
)
def test_a_run_goes_on_where_one_of_its_method_stands(
    method: str, tiny_bert: Path, inputs_of: Callable[[Path], dict[str, Tensor]], tmp_path: Path
) -> None:
    """Of another seed: also what it draws and never trains is taken over. The same weights learn as before."""
    trained = saved_and_loaded(learned(tiny_bert, method, 0), tiny_bert, tmp_path / "saved")
    model = build(str(tiny_bert), method, SMALL.get(method, {}), seed=7)
    learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
    inputs = inputs_of(tiny_bert)
    with torch.no_grad():
        fresh, wanted = model.eval()(**inputs), trained(**inputs)
        go_on_from(model, trained)
        found = model(**inputs)
    assert not torch.equal(fresh.start, wanted.start)
    torch.testing.assert_close(found.start, wanted.start, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.end, wanted.end, rtol=1e-5, atol=1e-5)
    assert learns == {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_one_that_is_saved_as_what_it_came_to_cannot_go_on(tiny_bert: Path, tmp_path: Path) -> None:
    trained = saved_and_loaded(learned(tiny_bert, "prompt-encoder", 0), tiny_bert, tmp_path / "saved")
    with pytest.raises(MethodError, match="cannot be trained on from a saved model") as raised:
        go_on_from(build(str(tiny_bert), "prompt-encoder", SMALL.get("prompt-encoder", {})), trained)
    assert "virtual.prompt" in (raised.value.found or "")


@pytest.mark.parametrize("method", ["lora", "loha", "ia3", "bitfit"])
def test_full_fine_tuning_holds_every_change(method: str, tiny_bert: Path) -> None:
    wanted = weights_of(tiny_bert, method)
    model = build(str(tiny_bert), "full")
    assert begin_with(model, wanted) == 1.0
    found = model.network.state_dict()
    assert wanted.keys() == found.keys()
    for name, weight in wanted.items():
        assert torch.equal(found[name], weight), name


@pytest.mark.parametrize("method", ["lora", "rslora"])
def test_ranks_that_suffice_hold_another_adapter(
    method: str, tiny_bert: Path, inputs_of: Callable[[Path], dict[str, Tensor]]
) -> None:
    rank = SMALL["lora"]["rank"]
    given = weights_of(tiny_bert, "lora")
    model = build(str(tiny_bert), method, {"rank": rank + 1, "alpha": 5}, seed=3)
    assert begin_with(model, given) == pytest.approx(1.0, abs=1e-6)
    whole = build(str(tiny_bert), "full")
    begin_with(whole, given)
    inputs = inputs_of(tiny_bert)
    with torch.no_grad():
        found, wanted = model.eval()(**inputs), whole.eval()(**inputs)
    torch.testing.assert_close(found.start, wanted.start, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.end, wanted.end, rtol=1e-4, atol=1e-4)
    assert not torch.equal(found.start, build(str(tiny_bert), method, seed=3).eval()(**inputs).start)


def test_fewer_ranks_hold_the_nearest_matrix(tiny_bert: Path) -> None:
    """What is lost is what the singular values say, and nothing of that rank is nearer."""
    given = weights_of(tiny_bert, "lora")
    before = build(str(tiny_bert), "full").network.state_dict()
    model = build(str(tiny_bert), "lora", {"rank": RANK, "alpha": 3})
    kept = begin_with(model, given)
    changes = {name: weight - before[name] for name, weight in given.items() if not name.startswith("qa_")}
    changes = {name: change for name, change in changes.items() if change.abs().max() > 1e-5}
    sizes = [torch.linalg.svdvals(change).square() for change in changes.values()]
    assert len(sizes) == 12, "six linear layers in each of two"
    lost, whole = (sum(float(one[start:].sum()) for one in sizes) for start in (RANK, 0))
    assert kept == pytest.approx(1 - lost / whole, abs=1e-4)
    assert 0.3 < kept < 0.99
    merged = plain_weights(model)
    found = sum(float((merged[name] - before[name] - change).square().sum()) for name, change in changes.items())
    assert found == pytest.approx(lost, rel=1e-3)


def test_what_was_not_changed_stays_as_it_is(tiny_bert: Path) -> None:
    """To the last bit."""
    given = weights_of(tiny_bert, "head-only")
    model, before = build(str(tiny_bert), "lora"), plain_weights(build(str(tiny_bert), "lora"))
    assert begin_with(model, given) == 1.0
    after = plain_weights(model)
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed == {"qa_outputs.weight", "qa_outputs.bias"}
    assert torch.equal(after["qa_outputs.weight"], given["qa_outputs.weight"])


@pytest.mark.parametrize(
    ("method", "run", "first"),
    [
        ("lora", "full", "bert.embeddings.word_embeddings.weight"),
        ("lora", "bitfit", ".bias"),
        ("loha", "lora", "bert.encoder.layer.0.attention"),
        ("bitfit", "lora", "bert.encoder.layer.0.attention"),
    ],
)
def test_a_method_that_cannot_hold_it(method: str, run: str, first: str, tiny_bert: Path) -> None:
    with pytest.raises(MethodError, match="cannot hold what the run changed") as raised:
        begin_with(build(str(tiny_bert), method, SMALL.get(method, {})), weights_of(tiny_bert, run))
    assert first in (raised.value.found or "")
    assert "--method full" in (raised.value.fix or "")
