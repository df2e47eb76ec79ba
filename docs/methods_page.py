"""The generated parts of docs/methods.md: the registry, the encoder families, and which method takes which."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spantune.config.parse.fields import Setting
    from spantune.errors import MethodError
    from spantune.methods import Method

ENCODER = "minilm"
CHECKPOINTS: Mapping[str, tuple[str, int]] = {
    "bert": ("bert-base-uncased", 512),
    "distilbert": ("distilbert-base-uncased", 512),
    "roberta": ("roberta-base", 512),
    "xlm-roberta": ("xlm-roberta-base", 512),
    "camembert": ("camembert-base", 512),
    "electra": ("google/electra-base-discriminator", 512),
    "albert": ("albert-base-v2", 512),
    "mpnet": ("microsoft/mpnet-base", 512),
    "deberta-v2": ("microsoft/deberta-v3-base", 512),
    "modernbert": ("answerdotai/ModernBERT-base", 8192),
    "mobilebert": ("google/mobilebert-uncased", 512),
}
"""A common checkpoint of each family and its longest window in tokens, which no configuration class knows."""
_POSITIONS = {
    "absolute": "learned, from 0",
    "after-padding": "learned, after the padding id",
    "relative": "relative",
}
# Wide enough for every default option; two layers, as `top-layers` wants.
_SIZES = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 256}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A table in Markdown; the columns named in `right` are aligned to the right."""
    ruler = ["---:" if title in right else "---" for title in head]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *rows))


def methods_table() -> str:
    """The registry with what each method costs on one encoder."""
    from spantune.methods import methods
    from spantune.modeling import Costs, costs_of_all
    from spantune.reports.tables.number_format import size

    costs, rows = costs_of_all(ENCODER), []
    for name, method in methods().items():
        cost = costs[name]
        assert isinstance(cost, Costs), cost
        counted = (f"{cost.parameters.trainable:,}", f"{cost.parameters.share:.3%}", size(cost.saved_bytes))
        merge = "yes, then 1×" if method.mergeable else "no"
        rates = (f"{method.learning_rate:g}", _grid(method))
        rows.append((f"[`{name}`](#{name})", method.family, *counted, f"{cost.forward:.2f}×", merge, *rates))
    numbers = ("Trainable", "Share", "Saved", "Forward")
    head = ("Method", "Family", *numbers, "Mergeable", "Learning rate", "Grid")
    return table(head, rows, right=(*numbers, "Learning rate"))


def _grid(method: Method) -> str:
    return ", ".join(f"{rate:g}" for rate in method.grid)


# Each method


def methods_sections() -> str:
    """Each method with its formula and its options."""
    from spantune.config import TrainConfig
    from spantune.config.parse.fields import settings_of
    from spantune.methods import methods

    settings = [one for one in settings_of(TrainConfig, methods()) if one.method]
    sections = []
    for name, method in methods().items():
        own = [_option(one, method.options) for one in settings if one.method == name]
        facts = f"Paper: {method.paper}. Learning rate {method.learning_rate:g}, grid {_grid(method)}."
        merge = "Mergeable." if method.mergeable else "Not mergeable."
        text = f"{method.label}: {formula(method)}"
        sections.append("\n".join([f"### {name}", "", text, "", f"{facts} {merge}", "", *(own or ["No options."])]))
    return "\n\n".join(sections)


def formula(method: Method) -> str:
    """What the method changes, as the first line of its file says it, without the name in front."""
    first = (inspect.getdoc(sys.modules[method.inject.__module__]) or "").splitlines()[0]
    said = first.partition(": ")[2]
    assert said, f"{method.inject.__module__}: expected a first line 'Name: what it changes', found {first!r}"
    return said[0].upper() + said[1:]


def _option(setting: Setting, options: type[Any]) -> str:
    from spantune.config.parse.convert import metavar

    shown = setting.default
    if isinstance(shown, bool):
        shown = "on" if shown else "off"
    elif setting.hint is float:
        shown = f"{shown:g}"
    kind = "" if setting.hint is bool else f" {metavar(setting.hint)}"
    limits = allowed(options, setting.name)
    return f"- `{setting.flag}{kind}`, default `{shown}`{limits and f', {limits}'}: {setting.help}"


def allowed(options: type[Any], name: str) -> str:
    """The range of a number, as the options class says it when it is given a number below all of them."""
    if next(one for one in dataclasses.fields(options) if one.name == name).type not in ("int", "float"):
        return ""
    try:
        options(**{name: -1})
    except ValueError as error:
        return re.sub(r"^.*?: expected (.*), found -1$", r"\1", str(error))
    return ""


# Encoders


def encoder_families() -> str:
    """The table of architectures: what a user of a family must know, then the names inside it."""
    from spantune.methods.architectures import ARCHITECTURES, LINEAR

    rows, modules = [], dict[tuple[str, ...], list[str]]()
    for family, row in ARCHITECTURES.items():
        checkpoint, longest = CHECKPOINTS[family]
        facts = ("yes" if row.segment_ids else "no", _POSITIONS[row.positions], f"{longest:,}")
        rows.append((f"`{family}`", f"`{checkpoint}`", *facts, _codes(row.heads), row.note))
        names = [_codes(getattr(row, role).split("|")) for role in LINEAR]
        modules.setdefault((f"`{row.layer}`", *names), []).append(f"`{family}`")
    head = ("Family", "Checkpoint, for example", "Segment ids", "Positions", "Longest window", "Span head", "Note")
    roles = (role.replace("_", " ").replace("ffn", "feed-forward").capitalize() for role in LINEAR)
    inside = [(", ".join(own), *names) for names, own in modules.items()]
    return "\n\n".join(
        (table(head, rows, right=("Longest window",)), table(("Family", "List of layers", *roles), inside))
    )


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# Methods on encoders


def support_matrix() -> str:
    """Every method on every family, tried on an encoder without weights; the reasons where one is refused."""
    from spantune.methods import methods
    from spantune.methods.architectures import ARCHITECTURES

    errors, reasons, rows = refused(), [], []
    for name in methods():
        cells = []
        for family in ARCHITECTURES:
            if error := errors.get((name, family)):
                reasons.append(f"`{name}` on `{family}`: {_reason(error)}")
            cells.append(f"refused ({len(reasons)})" if error else "✓")
        rows.append((f"`{name}`", *cells))
    listed = "\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))
    return f"{table(('', *_quoted(ARCHITECTURES)), rows)}\n\n{listed}"


def _quoted(names: Mapping[str, object]) -> Iterator[str]:
    return (f"`{name}`" for name in names)


@cache
def refused() -> dict[tuple[str, str], MethodError]:
    """(method, family) of every cell that is not supported, with what a user would be told."""
    from transformers import AutoConfig

    from spantune.errors import MethodError
    from spantune.methods import methods
    from spantune.methods.architectures import ARCHITECTURES
    from spantune.modeling import empty_model

    found = {}
    for family in ARCHITECTURES:
        config = AutoConfig.for_model(family, **_SIZES)
        for name in methods():
            try:
                empty_model(config, name)
            except MethodError as error:
                found[name, family] = error
    return found


def _reason(error: MethodError) -> str:
    known = (("expected", error.expected), ("found", error.found))
    return "; ".join([error.problem, *(f"{title} {text}" for title, text in known if text)])
