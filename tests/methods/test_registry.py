"""The registry: names, options, duplicates, traits; and that listing the methods needs neither torch nor peft."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from spantune.errors import MethodError
from spantune.methods import Method, Unfreeze, get, methods
from spantune.methods import registry as registry_module
from spantune.methods.architectures import ARCHITECTURES, LINEAR
from spantune.methods.registry import method


def with_option(option: str) -> list[str]:
    """The methods that have it."""
    return [one.name for one in methods().values() if option in {field.name for field in fields(one.options)}]


SIX = ("full", "lora", "loha", "ia3", "prefix-tuning", "prompt-encoder")


def test_all_methods_of_the_product_are_there() -> None:
    assert {*SIX, "head-only"} <= set(methods())


@pytest.mark.parametrize("one", methods().values(), ids=lambda one: one.name)
def test_the_traits_of_each_method(one: Method) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.name)
    assert one.summary and one.label and not one.summary.endswith(".")
    assert re.search(r"arXiv:\d{4}\.\d{4,5}", one.paper), "the paper can be looked up"
    assert one.learning_rate in one.grid and list(one.grid) == sorted(set(one.grid))
    assert one.grid[0] < one.learning_rate < one.grid[-1], "the default is not at the grid's edge"
    # Every option has a help text and a default that its own checks accept.
    assert one.resolve({}) == one.options()
    assert all(re.fullmatch(r"[a-z_]+", field.name) for field in fields(one.options))
    assert not (one.mergeable and one.family == "prompt") and not (one.mergeable and one.whole_encoder)


@pytest.mark.parametrize("one", methods().values(), ids=lambda one: one.name)
def test_the_families_that_add_nothing(one: Method) -> None:
    from spantune.modeling.architecture_detection import shape_of

    assert one.adds_nothing == isinstance(one.inject(one.options(), shape_of(empty("bert"))), Unfreeze)


def test_reference_methods_come_first_and_families_together() -> None:
    families = [one.family for one in methods().values()]
    assert families[0] == "reference"
    assert len([1 for a, b in itertools.pairwise(families) if a != b]) == len(set(families)) - 1


@pytest.mark.parametrize(
    ("typed", "meant"), [("lorra", "lora"), ("prefix", "prefix-tuning"), ("prompt_encoder", "prompt-encoder")]
)
def test_an_unknown_method_names_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(MethodError, match=f"no method {typed!r}") as raised:
        get(typed)
    assert f"did you mean {meant!r}?" in str(raised.value)


def test_a_method_that_resembles_none_lists_all() -> None:
    with pytest.raises(MethodError) as raised:
        get("zzz")
    assert all(name in str(raised.value) for name in methods())


def test_unknown_options_are_all_reported_with_the_nearest_name() -> None:
    with pytest.raises(MethodError) as raised:
        get("lora").resolve({"rnak": 4, "alhpa": 8, "rank": 2})
    assert "'rnak': did you mean 'rank'?" in str(raised.value) and "'alhpa': did you mean 'alpha'?" in str(raised.value)


def test_options_with_dashes() -> None:
    assert get("prompt-encoder").resolve({"network-size": 12}).network_size == 12


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        *((name, "rank", value) for name in with_option("rank") for value in (0, -1, 4097)),
        *((name, "alpha", value) for name in with_option("alpha") for value in (0, -2.0)),
        *((name, "dropout", value) for name in with_option("dropout") for value in (-0.1, 1.0)),
        *((name, "length", value) for name in with_option("length") for value in (0, 513)),
        ("hra", "rank", 3),
        ("top-layers", "layers", 0),
        ("bottleneck", "size", 0),
        ("oft", "block_size", 1),
        ("fourierft", "frequencies", 0),
        ("prefix-tuning", "projection_size", 0),
        ("prompt-encoder", "network_size", 0),
    ],
)
def test_options_out_of_range(name: str, option: str, value: Any) -> None:
    with pytest.raises(MethodError, match=f"options of {name} are not valid: {option}: expected .*, found"):
        get(name).resolve({option: value})


@pytest.mark.parametrize(
    ("name", "option"),
    [("prompt-encoder", "network"), ("bottleneck", "placement"), ("bottleneck", "activation"), ("road", "variant")],
)
def test_options_that_are_none_of_the_choices(name: str, option: str) -> None:
    with pytest.raises(MethodError, match=f"{option}: expected '.*' or '.*', found 'nonsense'"):
        get(name).resolve({option: "nonsense"})


@pytest.mark.parametrize(
    ("name", "option", "value", "kind"),
    [
        ("lora", "rank", "many", "int"),
        ("lora", "rank", 2.5, "int"),
        ("lora", "dropout", None, "float"),
        ("prefix-tuning", "length", True, "int"),
        ("prefix-tuning", "projection", 1, "bool"),
    ],
)
def test_options_of_the_wrong_type(name: str, option: str, value: Any, kind: str) -> None:
    with pytest.raises(MethodError, match=f"{option}: expected {kind}, found"):
        get(name).resolve({option: value})


def test_a_whole_number_is_a_number() -> None:
    assert get("lora").resolve({"dropout": 0}).dropout == 0


@pytest.fixture
def scratch_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_METHODS", {})


TRAITS: dict[str, Any] = {"label": "X", "family": "reference", "paper": "arXiv:0000.00000", "grid": (1e-3, 1e-2)}


def inject(options: Any, encoder: Any) -> Any:
    """What it does."""


@pytest.mark.usefixtures("scratch_registry")
def test_two_methods_of_one_name_are_refused() -> None:
    method("x", learning_rate=1e-3, **TRAITS)(inject)
    with pytest.raises(ValueError, match="two methods are called 'x'"):
        method("x", learning_rate=1e-3, **TRAITS)(inject)


@pytest.mark.usefixtures("scratch_registry")
def test_a_default_learning_rate_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="not on its grid"):
        method("x", learning_rate=5e-3, **TRAITS)(inject)


def test_listing_the_methods_imports_nothing_heavy() -> None:
    probe = """
import json, sys
from spantune.methods import get, methods
for one in methods().values():
    one.resolve({})
heavy = ("torch", "transformers", "peft", "numpy", "datasets")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def empty(family: str) -> Any:
    """A network of the family as its published checkpoints are, but of two layers and without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForQuestionAnswering

    small = {"num_hidden_layers": 2, "n_layers": 2}
    # RoBERTa's published weights have one segment; its class's default configuration says two.
    published = {"type_vocab_size": 1} if family in ("roberta", "xlm-roberta", "camembert") else {}
    with torch.device("meta"):
        return AutoModelForQuestionAnswering.from_config(AutoConfig.for_model(family, **small, **published))


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_table_names_layers_that_the_encoder_has(family: str) -> None:
    """Each role is found in each layer of a real network of the family, nothing else is, and the head is there."""
    from torch import nn

    network, row = empty(family), ARCHITECTURES[family]
    modules = dict(network.named_modules())
    layers = 1 if family == "albert" else 2
    stacked = network.config.num_feedforward_networks if family == "mobilebert" else 1
    everything = re.compile(row.inside_layers(".*"))
    linears = {name for name, one in modules.items() if isinstance(one, nn.Linear) and everything.fullmatch(name)}
    for role in LINEAR:
        matched = {name for name in modules if re.fullmatch(row.pattern((role,)), name)}
        assert len(matched) == layers * (stacked if role.startswith("ffn") else 1), role
        assert matched <= linears
    left = {name.rpartition(f".{row.layer}.")[2] for name in linears if not re.fullmatch(row.pattern(LINEAR), name)}
    # MobileBERT's layers are narrower inside than outside: these bring the widths together.
    assert all("bottleneck" in name for name in left) and bool(left) == (family == "mobilebert")
    outside = {
        name.rpartition(".")[0] for name, _ in network.named_parameters() if "." not in name or row.is_head(name)
    }
    assert outside == set(row.heads)
    assert not [
        name for name, _ in network.named_parameters() if not (row.is_head(name) or name.startswith(body(network)))
    ]


def body(network: Any) -> str:
    return f"{network.base_model_prefix}."


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_segment_ids_travel_exactly_where_they_tell_something(family: str) -> None:
    """The table agrees with the encoder's own segment embedding: two segments or more, and an argument for them."""
    import inspect

    from spantune.modeling.architecture_detection import sends_segment_ids

    network = empty(family)
    takes = "token_type_ids" in inspect.signature(network.forward).parameters
    segments = getattr(network.config, "type_vocab_size", None) or 0
    assert sends_segment_ids(network.config, ARCHITECTURES[family]) == (takes and segments > 1)


def test_segment_ids_travel_in_a_deberta_that_has_segments() -> None:
    """The family may have them, though published checkpoints do not: the configuration decides."""
    from spantune.modeling.architecture_detection import sends_segment_ids

    config = empty("deberta-v2").config
    assert not sends_segment_ids(config, ARCHITECTURES["deberta-v2"])
    config.type_vocab_size = 2
    assert sends_segment_ids(config, ARCHITECTURES["deberta-v2"])
