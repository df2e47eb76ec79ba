"""docs/methods.md agrees with the registry, the table of architectures and the cells that the contract covers."""

from __future__ import annotations

import re
from pathlib import Path

import generate
import methods_page
import pytest
from cells import REFUSED, VARIANTS, product

from spantune.methods import architectures, methods
from spantune.methods.architectures import ARCHITECTURES, LINEAR

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")


def _part(name: str) -> str:
    return PAGE.partition(f"<!-- generated: {name} -->")[2].partition("<!-- /generated -->")[0]


def _rows(part: str) -> list[list[str]]:
    lines = [line for line in part.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _cells() -> dict[tuple[str, str], str]:
    """(method, family) to what the support matrix says."""
    (_, *families), *rows = _rows(_part("support-matrix"))
    return {(name[1:-1], family[1:-1]): cell for name, *row in rows for family, cell in zip(families, row, strict=True)}


# The support matrix


def test_every_method_meets_every_family() -> None:
    assert list(_cells()) == [(name, family) for name in methods() for family in ARCHITECTURES]
    assert set(_cells()) <= set(product()), "the contract covers every cell"


def test_refused_cells_are_those_that_the_contract_expects_to_be_refused() -> None:
    ours = {cell for cell, said in _cells().items() if said != "✓"}
    assert ours == {(VARIANTS.get(name, (name,))[0], family) for name, family in REFUSED}


def test_every_refused_cell_has_its_reason() -> None:
    reasons = dict(re.findall(r"^(\d+)\. (.+)$", _part("support-matrix"), re.MULTILINE))
    cells = {cell: re.fullmatch(r"refused \((\d+)\)", said) for cell, said in _cells().items() if said != "✓"}
    assert sorted(found[1] for found in cells.values() if found) == sorted(reasons)
    expected = {(VARIANTS.get(name, (name,))[0], family): message for (name, family), (_, message) in REFUSED.items()}
    for (name, family), found in cells.items():
        assert found is not None and reasons[found[1]].startswith(f"`{name}` on `{family}`: ")
        assert re.search(expected[name, family], reasons[found[1]]), "the message that a user sees"


def test_a_cell_that_is_refused_is_found_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    from spantune.errors import MethodError
    from spantune.modeling import SpanModel, costs

    def adapt(network: object, identity: costs.Identity, injection: object) -> SpanModel:
        if (identity.method, identity.model_type) == ("lora", "electra"):
            raise MethodError("not today", expected="tomorrow")
        return adapt_as_it_is(network, identity, injection)  # type: ignore[arg-type]

    adapt_as_it_is, two = costs.adapt, {name: methods()[name] for name in ("lora", "full")}
    monkeypatch.setattr(costs, "adapt", adapt)
    monkeypatch.setattr("spantune.methods.methods", lambda: two)
    monkeypatch.setattr(architectures, "ARCHITECTURES", {"electra": ARCHITECTURES["electra"]})
    monkeypatch.setattr(methods_page, "refused", methods_page.refused.__wrapped__)
    made = methods_page.support_matrix()
    assert "| `lora` | refused (1) |\n| `full` | ✓ |" in made
    assert "\n1. `lora` on `electra`: not today; expected tomorrow" in made


# Methods and encoders


def test_every_method_has_its_row_and_its_paragraph() -> None:
    rows = {row[0]: row for row in _rows(_part("methods-table"))[1:]}
    assert list(rows) == [f"[`{name}`](#{name})" for name in methods()]
    assert re.findall(r"^### (.+)$", _part("methods-sections"), re.MULTILINE) == list(methods())
    for name, method in methods().items():
        assert (rows[f"[`{name}`](#{name})"][6] == "no") != method.mergeable
        text = _part("methods-sections").partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert method.label in text and method.paper in text and methods_page.formula(method) in text


def test_every_family_has_its_rows() -> None:
    facts, modules = re.split(r"\n\n(?=\| Family \| List)", _part("encoder-families"))
    rows = {row[0]: row for row in _rows(facts)[1:]}
    assert list(rows) == [f"`{family}`" for family in ARCHITECTURES]
    named = {family: row[1:] for row in _rows(modules)[1:] for family in re.findall(r"`([^`]+)`", row[0])}
    assert named.keys() == ARCHITECTURES.keys() == methods_page.CHECKPOINTS.keys()
    for family, row in ARCHITECTURES.items():
        assert named[family][0] == f"`{row.layer}`"
        for said, role in zip(named[family][1:], LINEAR, strict=True):
            assert re.findall(r"`([^`]+)`", said) == getattr(row, role).split("|")
        assert rows[f"`{family}`"][2] == ("yes" if row.segment_ids else "no")


def test_ranges_of_options_are_those_that_are_checked() -> None:
    lora, hra = methods()["lora"].options, methods()["hra"].options
    assert methods_page.allowed(lora, "rank") == "1 to 1024"
    assert methods_page.allowed(lora, "dropout") == "0 to below 1"
    assert methods_page.allowed(hra, "rank") == "an even number, 2 or more"
    assert methods_page.allowed(lora, "targets") == ""
    assert methods_page.allowed(methods()["prefix-tuning"].options, "projection") == ""
    assert "default `0`, 0 to below 1: Dropout" in generate.methods_sections()
