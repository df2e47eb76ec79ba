"""No cell is left out: each is under the contract, or refused here with its message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cells import NAMES, REFUSED, SHARES, SMALL, VARIANTS, Cell, Encoder, product
from tiny_encoders import FAIRSEQ_FAMILIES

from spantune.methods import methods
from spantune.methods.architectures import ARCHITECTURES
from spantune.modeling import count_parameters


def test_every_family_is_in_one_file_of_the_contract() -> None:
    assert sorted(family for share in SHARES.values() for family in share) == sorted(ARCHITECTURES)
    for share in SHARES:
        text = Path(__file__).with_name(f"test_contract_{share}.py").read_text(encoding="utf-8")
        assert f'families = SHARES["{share}"]' in text


def test_every_method_is_in_the_product() -> None:
    assert set(methods()) <= set(NAMES) and set(product()) == {(name, row) for name in NAMES for row in ARCHITECTURES}
    # Tables that outlived what they were for.
    assert set(SMALL) <= set(methods()) and {name for name, _ in VARIANTS.values()} <= set(methods())
    assert set(REFUSED) <= set(product())


def test_the_tiny_encoders_show_what_is_special_in_their_family(encoder_of: Callable[[str], Encoder]) -> None:
    """Else the contract would hold for encoders that nobody has."""
    config = {family: encoder_of(family).plain.config for family in ARCHITECTURES}
    shortest = min(encoder_of("modernbert").windows.lengths)
    assert set(config["modernbert"].layer_types) == {"full_attention", "sliding_attention"}
    assert config["modernbert"].local_attention < shortest, "a window slides"
    assert config["deberta-v2"].relative_attention and not config["deberta-v2"].position_biased_input
    assert sorted(config["deberta-v2"].pos_att_type) == ["c2p", "p2c"]
    assert config["albert"].num_hidden_layers > config["albert"].num_hidden_groups
    assert config["mobilebert"].num_feedforward_networks > 2 and config["mobilebert"].use_bottleneck
    for family in ("electra", "albert", "mobilebert"):
        assert config[family].embedding_size != config[family].hidden_size
    for family, one in config.items():
        assert one.pad_token_id == encoder_of(family).tokenizer.pad_token_id == (family in FAIRSEQ_FAMILIES)
        assert one.num_hidden_layers == 2


@pytest.mark.parametrize("cell", REFUSED, ids="-".join, indirect=True)
def test_a_cell_that_is_not_supported_is_refused(cell: Cell) -> None:
    """Before anything is trained, with and without weights, in one message."""
    kind, message = REFUSED[cell.name, cell.encoder.family]
    for refused in (cell.build, lambda: count_parameters(cell.model, cell.method, cell.options)):
        with pytest.raises(kind, match=message) as raised:
            refused()
        assert "expected:" in str(raised.value) and "found:" in str(raised.value) and "fix:" in str(raised.value)
