"""The contract on ELECTRA and ALBERT, whose word embeddings are narrower than the layers."""

from __future__ import annotations

from cells import SHARES
from suite import Contract


class TestContract(Contract):
    families = SHARES["electra"]
