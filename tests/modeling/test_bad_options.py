"""Options that an encoder or the installed PEFT does not allow: one message that says what would be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spantune.answering.window_rules import window_rules
from spantune.config import WindowConfig
from spantune.errors import ConfigError, MethodError
from spantune.methods import get, methods
from spantune.modeling import build


def refusal(act: Callable[[], Any], error: type[Exception] = MethodError) -> dict[str, str]:
    """The parts of the message: problem, where, expected, found, fix."""
    with pytest.raises(error) as raised:
        act()
    return {key: text or "" for key, text in vars(raised.value).items()}


WITH_RANK = [name for name, method in methods().items() if hasattr(method.options, "rank")]
WITH_TARGETS = [name for name, method in methods().items() if hasattr(method.options, "targets")]


@pytest.mark.parametrize("name", WITH_RANK)
def test_a_rank_of_zero(name: str, tiny_bert: Path) -> None:
    with pytest.raises(MethodError, match=f"options of {name} are not valid: rank: expected .*, found 0"):
        build(str(tiny_bert), name, {"rank": 0})


# VeRA's rank is the width of projections that are random anyway, and LoKr's is of a factor that is split only if wide.
@pytest.mark.parametrize("name", sorted({*WITH_RANK} - {"vera", "lokr", "adalora"}))
def test_a_rank_above_the_layers_width(name: str, tiny_bert: Path) -> None:
    message = refusal(lambda: build(str(tiny_bert), name, {"rank": 34}))
    assert message["problem"] == "the rank is larger than the layers are wide" and message["where"] == "rank"
    assert (message["expected"], message["found"]) == ("1 to 32", "34")
    assert message["fix"] == "a smaller rank, or other targets"
    build(str(tiny_bert), name, {"rank": 32})


def test_more_frequencies_than_weights(tiny_bert: Path) -> None:
    message = refusal(lambda: build(str(tiny_bert), "fourierft", {"frequencies": 1025}))
    assert (message["where"], message["expected"], message["found"]) == ("frequencies", "1 to 1024", "1025")
    build(str(tiny_bert), "fourierft", {"frequencies": 1025, "targets": "ffn_in"})


LAYERS = {
    "bert": "attention.self.query, attention.self.key, attention.self.value, attention.output.dense, "
    "intermediate.dense, output.dense",
    "distilbert": "attention.q_lin, attention.k_lin, attention.v_lin, attention.out_lin, ffn.lin1, ffn.lin2",
}


@pytest.mark.parametrize("name", WITH_TARGETS)
@pytest.mark.parametrize(
    "family", [pytest.param(one, marks=[] if one == "bert" else [pytest.mark.exhaustive]) for one in LAYERS]
)
def test_targets_that_match_nothing(name: str, family: str, tiny_of: Callable[[str], Path]) -> None:
    message = refusal(lambda: build(str(tiny_of(family)), name, {"targets": "nonsense"}))
    assert message["problem"] == f"no layer of this encoder ({family}) is called 'nonsense'"
    assert message["where"] == "targets" and message["found"] == "'nonsense'"
    assert message["expected"] == (
        "query-value, attention, linear; or of query, key, value, attention_output, ffn_in, ffn_out; "
        f"or of {LAYERS[family]}"
    )
    assert message["fix"] == "name one of these, or several with commas between them"


@pytest.mark.parametrize(
    ("targets", "wrong", "fix"),
    [
        ("query,nonsense", "nonsense", "name one of these"),
        ("nonsense,query", "nonsense", "name one of these"),
        ("Query", "Query", "did you mean 'query'?"),
        ("attention.self.qurey", "attention.self.qurey", "did you mean 'attention.self.query'?"),
        ("", "", "name one of these"),
        ("query,", "", "name one of these"),
        (".*", ".*", "name one of these"),
        ("q_lin", "q_lin", "name one of these"),
        ("qa_outputs", "qa_outputs", "did you mean 'output.dense'?"),
        ("layer.0.attention.self.query", "layer.0.attention.self.query", "did you mean 'attention.self.query'?"),
    ],
)
def test_targets_of_which_some_match_nothing(targets: str, wrong: str, fix: str, tiny_bert: Path) -> None:
    message = refusal(lambda: build(str(tiny_bert), "lora", {"targets": targets}))
    assert message["found"] == repr(wrong) and fix in message["fix"]


def adapted(encoder: Path, targets: str) -> set[str]:
    """The layers with LoRA in them, without their numbers."""
    names = (name for name, _ in build(str(encoder), "lora", {"targets": targets}).named_modules())
    found = (name.removesuffix(".lora_A").partition(".layer.")[2] for name in names if name.endswith(".lora_A"))
    return {name.partition(".")[2] for name in found}


@pytest.mark.parametrize(
    ("family", "targets", "layers"),
    [
        ("bert", "query", {"attention.self.query"}),
        ("bert", " query , value ", {"attention.self.query", "attention.self.value"}),
        ("bert", "query,query,self.query", {"attention.self.query"}),
        ("bert", "query-value,query", {"attention.self.query", "attention.self.value"}),
        ("bert", "dense", {"attention.output.dense", "intermediate.dense", "output.dense"}),
        ("bert", "output.dense", {"attention.output.dense", "output.dense"}),
        ("bert", "ffn_out", {"output.dense"}),
        ("distilbert", "q_lin", {"attention.q_lin"}),
        ("distilbert", "query", {"attention.q_lin"}),
        ("distilbert", "q_lin,ffn_in,attention.out_lin", {"attention.q_lin", "ffn.lin1", "attention.out_lin"}),
    ],
)
def test_targets_that_match(family: str, targets: str, layers: set[str], tiny_of: Callable[[str], Path]) -> None:
    assert adapted(tiny_of(family), targets) == layers


PROMPTS = ["prompt-encoder", "prompt-tuning"]


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("length", [64, 65])
def test_more_virtual_tokens_than_positions(name: str, length: int, tiny_bert: Path) -> None:
    message = refusal(lambda: build(str(tiny_bert), name, {"length": length}))
    assert message["problem"] == "the virtual tokens leave no position for the input" and message["where"] == "length"
    assert (message["expected"], message["found"]) == ("well below the encoder's 64 positions", str(length))
    assert message["fix"] == "fewer virtual tokens, or an encoder with more positions"


@pytest.mark.parametrize(("length", "left"), [(63, 1), (46, 18)])
def test_virtual_tokens_that_leave_no_room_for_a_question(
    length: int, left: int, tiny_bert: Path, tiny_tokenizer: Any
) -> None:
    """Shorter windows would not help, so that is not what the message says."""
    model = build(str(tiny_bert), "prompt-tuning", {"length": length})
    message = refusal(
        lambda: window_rules(WindowConfig(48, 8), tiny_tokenizer, longest=model.max_length, segment_ids=True),
        ConfigError,
    )
    assert message["problem"] == "the encoder's positions leave no room for a question and its context"
    assert message["expected"] == "at least 19 positions for each window"
    assert message["found"] == f"{left} (its positions, less those of virtual tokens)"
    assert message["fix"] == "fewer virtual tokens, or an encoder with more positions"
    enough = build(str(tiny_bert), "prompt-tuning", {"length": 45})
    assert window_rules(WindowConfig(19, 0), tiny_tokenizer, longest=enough.max_length, segment_ids=True)


@pytest.mark.parametrize("name", methods())
def test_an_option_of_another_method(name: str, tiny_bert: Path) -> None:
    option = "length" if "rank" in vars(get(name).resolve({})) else "rank"
    with pytest.raises(MethodError, match=f"{name} has no such option:\n  '{option}'"):
        build(str(tiny_bert), name, {option: 3})
