"""The contract on ModernBERT (fused projections, sliding windows) and MobileBERT (stacked feed-forwards)."""

from __future__ import annotations

from cells import SHARES
from suite import Contract


class TestContract(Contract):
    families = SHARES["newer"]
