"""The contract on RoBERTa and its twins, whose positions begin behind the padding index."""

from __future__ import annotations

from cells import SHARES
from suite import Contract


class TestContract(Contract):
    families = SHARES["roberta"]
