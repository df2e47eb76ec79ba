"""Texts that the browser tests use."""

EMOJI = (
    "👩\u200d👩\u200d👧 met at 🎲 night.\nThe 𝒢ödel prize 🎲 went to two of them, e\u0301mile and Łucja; "
    "nobody minded the 𝒢ödel joke."
)
"""Characters of two UTF-16 units, of several code points, and a line break."""
