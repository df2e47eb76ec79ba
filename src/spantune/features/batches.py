"""Windows to batches: rows of similar length together, padded to the longest of the batch only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from spantune.features.windows import NO_ANSWER

if TYPE_CHECKING:
    from spantune.config import Labels

NO_LABEL = -1
_LENGTH_STEP = 16
_BUCKET = 64  # Batches that are sorted together: enough to save padding, few enough to keep the order random.


class LengthBatches:
    """A batch sampler: random order, but rows of a batch have similar lengths.

    The order depends on (seed, epoch) alone, so that a resumed run sees what an uninterrupted one saw.
    """

    def __init__(self, lengths: ArrayLike, batch_size: int, *, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self.drop_last = False

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order; the Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(len(self.lengths))
        bucket = self.batch_size * _BUCKET
        sorted_in_buckets = [
            chunk[np.argsort(self.lengths[chunk], kind="stable")]
            for chunk in (order[at : at + bucket] for at in range(0, len(order), bucket))
        ]
        batches = [
            chunk[at : at + self.batch_size]
            for chunk in sorted_in_buckets
            for at in range(0, len(chunk), self.batch_size)
        ]
        for position in random.permutation(len(batches)):
            yield batches[position].tolist()


def sorted_batches(lengths: ArrayLike, batch_size: int) -> list[list[int]]:
    """Batches for evaluation: longest first, so that memory runs out at once or never."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[at : at + batch_size].tolist() for at in range(0, len(order), batch_size)]


def model_inputs(
    rows: Mapping[str, Sequence[Any]], pad_token_id: int, *, max_length: int | None = None
) -> dict[str, Tensor]:
    """Ids, mask and (where there are any) segment ids of a batch of rows, (B, L) each, padded on the right.

    Args:
        max_length: pad a little further, to one of few lengths up to this one. Kernels are made for each new shape and
            kept: with every length of its own they fill the memory and cost more time than the padding.
    """
    ids = rows["input_ids"]
    length = max(map(len, ids))
    if max_length is not None:
        length = max(length, min(-(-length // _LENGTH_STEP) * _LENGTH_STEP, max_length))
    inputs = {"input_ids": _padded(ids, length, pad_token_id)}
    inputs["attention_mask"] = _padded([[1] * len(one) for one in ids], length, 0)
    if "token_type_ids" in rows:
        inputs["token_type_ids"] = _padded(rows["token_type_ids"], length, 0)
    return inputs


def context_mask(rows: Mapping[str, Sequence[Any]], length: int) -> Tensor:
    """(B, L) bool, True on context tokens."""
    first = torch.tensor(rows["context_first"])[:, None]
    count = torch.tensor([len(one) // 2 for one in rows["offsets"]])[:, None]
    places = torch.arange(length)[None]
    return (places >= first) & (places < first + count)


def token_offsets(rows: Mapping[str, Sequence[Any]], length: int) -> np.ndarray:
    """(B, L, 2) characters of every context token; 0 elsewhere."""
    offsets = np.zeros((len(rows["offsets"]), length, 2), dtype=np.int64)
    for row, (first, pairs) in enumerate(zip(rows["context_first"], rows["offsets"], strict=True)):
        offsets[row, first : first + len(pairs) // 2] = np.asarray(pairs).reshape(-1, 2)
    return offsets


def labels(rows: Mapping[str, Sequence[Any]], which: Labels) -> dict[str, Tensor]:
    """Start and end labels (B, A), a column an answer, filled up with `NO_LABEL`; token 0 where there is none."""
    limit = 1 if which == "first" else None
    made = {}
    for key in ("starts", "ends"):
        tokens = [[0] if kind == NO_ANSWER else one[:limit] for one, kind in zip(rows[key], rows["kind"], strict=True)]
        made[key] = _padded(tokens, max(map(len, tokens)), NO_LABEL)
    return made


def training_batch(
    rows: Mapping[str, Sequence[Any]], *, pad_token_id: int, which: Labels, max_length: int | None = None
) -> dict[str, Tensor]:
    """Inputs, labels and `allowed` (B, L): the tokens among which start and end are chosen (context and token 0)."""
    inputs = model_inputs(rows, pad_token_id, max_length=max_length)
    allowed = context_mask(rows, inputs["input_ids"].shape[1])
    allowed[:, 0] = True
    return {**inputs, **labels(rows, which), "allowed": allowed}


def _padded(rows: Sequence[Sequence[int]], length: int, filler: int) -> Tensor:
    out = np.full((len(rows), length), filler, dtype=np.int64)
    for position, row in enumerate(rows):
        out[position, : len(row)] = row
    return torch.from_numpy(out)
