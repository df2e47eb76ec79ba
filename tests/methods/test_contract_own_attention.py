"""The contract on MPNet and DeBERTa, which compute attention by themselves."""

from __future__ import annotations

from cells import SHARES
from suite import Contract


class TestContract(Contract):
    families = SHARES["own_attention"]
