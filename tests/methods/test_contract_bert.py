"""The contract on BERT and DistilBERT."""

from __future__ import annotations

from cells import SHARES
from suite import Contract


class TestContract(Contract):
    families = SHARES["bert"]
