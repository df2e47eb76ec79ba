"""Trainable parameters by the papers' formulas, written out: BERT and DistilBERT, then the shapes that differ."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

# The tiny encoders: D width, F inner width, N layers; the head is a (D, 2) matrix and its bias.
D, F, N = 32, 64, 2
HEAD = 2 * D + 2
V = 5  # virtual tokens
# The matrices of one layer as (D_in, D_out): query, key, value, attention output, feed-forward in and out.
MATRICES = (*4 * [(D, D)], (D, F), (F, D))
BOTH = sum(inputs + outputs for inputs, outputs in MATRICES)
IN, OUT = (sum(sizes) for sizes in zip(*MATRICES, strict=True))
LAYER = 4 * (D * D + D) + (D * F + F) + (F * D + D) + 2 * 2 * D  # with biases and two LayerNorms


def mlp(*widths: int) -> int:
    """Linear layers with biases, one behind the other."""
    return sum(inputs * outputs + outputs for inputs, outputs in itertools.pairwise(widths))


def lstm(inputs: int, width: int) -> int:
    """One direction of one layer: four gates with two biases each."""
    return 4 * (inputs * width + width * width + 2 * width)


# Without the head; ranks and sizes are those of `cells.SMALL` and `cells.VARIANTS`.
FORMULAS: Mapping[str, int] = {
    "head-only": 0,
    # Every bias: of the six matrices and two LayerNorms of a layer, and of the embeddings' LayerNorm.
    "bitfit": N * (OUT + 2 * D) + D,
    # Scale and shift of two LayerNorms a layer and the embeddings'.
    "layernorm": (2 * N + 1) * 2 * D,
    "top-layers": LAYER,
    "top-layers+two": 2 * LAYER,
    # r (D_in + D_out) for each matrix.
    **dict.fromkeys(("lora", "rslora", "pissa"), N * 4 * BOTH),
    "lora+query-value": N * 4 * 2 * (D + D),
    # One length more for each output.
    "dora": N * (4 * BOTH + OUT),
    # r singular values more.
    "adalora": N * (4 * BOTH + 6 * 4),
    # One bound more for each matrix.
    "delora": N * (4 * BOTH + 6),
    # Two low-rank updates.
    "loha": N * 2 * 4 * BOTH,
    # Widths are cut near their roots, 32 = 4 * 8 and 64 = 8 * 8; the larger factor is split at r = 2.
    "lokr": N * (4 * (4 * 4 + 2 * (8 + 8)) + 2 * (4 * 8 + 2 * (8 + 8))),
    # Two vectors, r and D_out, for each matrix; the projections are frozen.
    "vera": N * (6 * 8 + OUT),
    # D_in / b blocks, in each a skew-symmetric matrix of b (b - 1) / 2 numbers.
    "oft": N * (IN // 8) * (8 * 7 // 2),
    # r mirrors, a vector of D_in each.
    "hra": N * 4 * IN,
    # One (r, D_out) matrix.
    "miss": N * 4 * OUT,
    # n coefficients for each matrix.
    "fourierft": N * 6 * 50,
    # l_k and l_v (D each) and l_ff (F) in each layer.
    "ia3": N * (D + D + F),
    # An angle and a length for each pair of outputs.
    "road": N * OUT,
    # Down and up with biases, behind both sublayers or behind one.
    "bottleneck": N * 2 * mlp(D, 4, D),
    "bottleneck+pfeiffer": N * mlp(D, 4, D),
    # V keys and values in each layer, learned themselves or made by an MLP.
    "prefix-tuning": V * N * 2 * D,
    "prefix-tuning+projection": V * D + mlp(D, 24, N * 2 * D),
    # V embeddings, learned themselves, or made by an MLP, or by two layers of an LSTM both ways and an MLP.
    "prompt-tuning": V * D,
    "prompt-encoder": V * D + mlp(D, 24, 24, D),
    "prompt-encoder+lstm": V * D + 2 * (lstm(D, 12) + lstm(2 * 12, 12)) + mlp(2 * 12, 2 * 12, D),
}

# ALBERT: one layer for both depths, word embeddings of width E before D.
E = 16
# ModernBERT: one matrix makes queries, keys and values, the feed-forward is gated (its input makes two times G).
G = 48
MODERN = ((D, 3 * D), (D, D), (D, 2 * G), (G, D))
MODERN_BOTH, MODERN_OUT = sum(map(sum, MODERN)), sum(outputs for _, outputs in MODERN)
MODERN_HEAD = D * D + D + HEAD  # a matrix and a normalisation without biases before the usual one
# MobileBERT: layers of width T inside; values come from the full width; three feed-forwards of inner width X.
T, X = 16, 32
MOBILE = (*2 * [(T, T)], (D, T), (T, T), *3 * [(T, X), (X, T)])
MOBILE_BOTH = sum(map(sum, MOBILE))
DIFFERENT: Mapping[tuple[str, str], int] = {
    ("lora", "albert"): 4 * BOTH,
    ("top-layers", "albert"): LAYER,
    ("ia3", "albert"): D + D + F,
    ("bottleneck", "albert"): 2 * mlp(D, 4, D),
    ("prefix-tuning", "albert"): V * 2 * D,
    ("prompt-tuning", "albert"): V * E,
    ("prompt-encoder", "electra"): V * E + mlp(E, 24, 24, E),
    ("lora", "modernbert"): N * 4 * MODERN_BOTH,
    ("lora+query-value", "modernbert"): N * 4 * (D + 3 * D),
    ("dora", "modernbert"): N * (4 * MODERN_BOTH + MODERN_OUT),
    ("ia3", "modernbert"): N * (3 * D + G),
    ("road", "modernbert"): N * MODERN_OUT,
    # No biases; the first layer has no normalisation of its own before the attention, the last has one behind it.
    ("layernorm", "modernbert"): (1 + (2 * N - 1) + 1) * D,
    ("prefix-tuning", "modernbert"): V * N * 2 * D,
    ("lora", "mobilebert"): N * 4 * MOBILE_BOTH,
    ("lora+query-value", "mobilebert"): N * 4 * ((T + T) + (D + T)),
    ("ia3", "mobilebert"): N * (T + T + 3 * X),
    ("bottleneck", "mobilebert"): N * (1 + 3) * mlp(T, 4, T),
    ("prefix-tuning", "mobilebert"): V * N * 2 * T,
    ("prompt-tuning", "mobilebert"): V * E,
    # Relative positions go through the same matrices, so the usual formulas hold.
    ("lora", "deberta-v2"): N * 4 * BOTH,
    ("lora", "mpnet"): N * 4 * BOTH,
}


def expected(name: str, family: str) -> tuple[int, int] | None:
    """Trainable parameters and those of the head; None where no formula is written out."""
    head = MODERN_HEAD if family == "modernbert" else HEAD
    if (name, family) in DIFFERENT:
        return DIFFERENT[name, family] + head, head
    if family in ("bert", "distilbert") and name in FORMULAS:
        return FORMULAS[name] + head, head
    return None
