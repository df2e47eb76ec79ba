"""From windows to batches: rows of similar length together, padded only to the longest row of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from spantune.answering.arrow_arrays import Columns, Lists, list_lengths
from spantune.answering.labels import NO_ANSWER

if TYPE_CHECKING:
    from spantune.config import Labels

NO_LABEL = -1
_LENGTH_STEP = 16
_BUCKET = 64  # Batches that are sorted together: enough to save padding, few enough to keep the order random.


class LengthBatches:
    """A batch sampler: random order, but rows of a batch have similar lengths.

    Rows that pad to the same length stay in random order: questions of one context differ by a few tokens only, and
    sorted to the token they would share a batch, whose gradient then says less.

    The order depends on (seed, epoch) alone, so that a resumed run sees what an uninterrupted one saw.
    """

    def __init__(self, lengths: ArrayLike, batch_size: int, *, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.rungs = -(-self.lengths // _LENGTH_STEP)
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
            chunk[np.argsort(self.rungs[chunk], kind="stable")]
            for chunk in (order[at : at + bucket] for at in range(0, len(order), bucket))
        ]
        batches = [
            chunk[at : at + self.batch_size]
            for chunk in sorted_in_buckets
            for at in range(0, len(chunk), self.batch_size)
        ]
        for position in random.permutation(len(batches)):
            yield batches[position].tolist()


def sorted_batches(lengths: ArrayLike, tokens: int, *, multiple_of: int = 1) -> list[np.ndarray]:
    """Rows of each batch for evaluation: longest first, so that memory runs out at once or never.

    Args:
        lengths: of the rows, in tokens.
        tokens: most tokens of a batch, padding included; a row that is longer is a batch of its own.
        multiple_of: as many batches are worked on at once: where their number can be such a multiple without a larger
            batch, it is, and their sizes are nearly equal.
    """
    if not len(lengths):  # type: ignore[arg-type]
        return []
    order = np.argsort(-np.asarray(lengths), kind="stable")
    longest = np.asarray(lengths)[order]
    edges = [0]
    while edges[-1] < len(order):
        edges.append(edges[-1] + max(1, tokens // padded_length(longest[edges[-1]], tokens)))
    edges[-1] = len(order)
    count = -(-(len(edges) - 1) // multiple_of) * multiple_of
    sums = np.cumsum(longest)
    even = [0, *np.searchsorted(sums, sums[-1] * np.arange(1, count) / count, side="right").tolist(), len(order)]
    fits = (at < to and (to - at) * padded_length(longest[at], tokens) <= tokens for at, to in pairwise(even))
    if len(even) > len(edges) and all(fits):
        edges = even
    return np.split(order, edges[1:-1])


def padded_length(length: int, limit: int) -> int:
    """Tokens that a batch is padded to: a little more than its longest row has, one of few lengths up to `limit`.

    Kernels are made for each new shape and kept: with every length of its own they fill the memory and cost more time
    than the padding.
    """
    return max(int(length), min(-(-int(length) // _LENGTH_STEP) * _LENGTH_STEP, limit))


def model_inputs(rows: Columns, pad_token_id: int, *, max_length: int | None = None) -> dict[str, Tensor]:
    """Ids, mask and (where there are any) segment ids of a batch of rows, (B, L) each, padded on the right.

    Args:
        max_length: pad as `padded_length` says, up to this length.
    """
    ids = Lists.of(rows["input_ids"])
    lengths = ids.lengths
    length = int(lengths.max())
    if max_length is not None:
        length = padded_length(length, max_length)
    inputs = {"input_ids": torch.from_numpy(ids.padded(length, pad_token_id))}
    inputs["attention_mask"] = torch.from_numpy((np.arange(length) < lengths[:, None]).astype(np.int64))
    if "token_type_ids" in rows:
        inputs["token_type_ids"] = torch.from_numpy(Lists.of(rows["token_type_ids"]).padded(length, 0))
    return inputs


def context_mask(rows: Columns, length: int) -> Tensor:
    """(B, L) bool, True on context tokens."""
    first = np.asarray(rows["context_first"], dtype=np.uint16)[:, None]
    count = (list_lengths(rows["offsets"]) // 2).astype(np.uint16)[:, None]
    # Before the context the difference is below 0, which wraps around to a large number.
    return torch.from_numpy(np.arange(length, dtype=np.uint16) - first < count)


def allowed_tokens(rows: Columns, length: int) -> Tensor:
    """(B, L) bool, the tokens among which start and end are chosen: the context, and token 0 for no answer."""
    allowed = context_mask(rows, length)
    allowed[:, 0] = True
    return allowed


def end_points(rows: Columns, length: int) -> Tensor:
    """(B, L) bool, True where an answer may start or end: context tokens of more than white space."""
    mask, blank = context_mask(rows, length), Lists.of(rows["blank"])
    for row in np.flatnonzero(blank.lengths):
        mask[int(row), blank[int(row)].tolist()] = False
    return mask


def character_spans(rows: Columns, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Token spans (B, K) as characters [first, last + 1), (B, K, 2); undefined for tokens outside the context.

    Args:
        starts, ends: first and last token.
    """
    offsets, first = Lists.of(rows["offsets"]), np.asarray(rows["context_first"])
    if not len(offsets.values):
        return np.zeros((*starts.shape, 2), dtype=np.int64)
    begin = (offsets.begins - 2 * first)[:, None]
    places = np.stack([begin + 2 * starts, begin + 2 * ends + 1], axis=-1)
    return offsets.values.take(places, mode="clip")


def labels(rows: Columns, which: Labels) -> dict[str, Tensor]:
    """Start and end labels (B, A), one column per answer, filled up with `NO_LABEL`; token 0 if there is none."""
    unanswerable = np.asarray(rows["kind"]) == NO_ANSWER
    made = {}
    for key in ("starts", "ends"):
        tokens = Lists.of(rows[key])
        most = max(1, int(tokens.lengths.max()))
        padded = tokens.padded(most, NO_LABEL)
        padded[unanswerable, 0] = 0
        made[key] = torch.from_numpy(padded[:, :1] if which == "first" else padded)
    return made


def training_batch(
    rows: Columns, *, pad_token_id: int, which: Labels, max_length: int | None = None
) -> dict[str, Tensor]:
    """Inputs, labels and `allowed_tokens` (B, L); if the rows have lessons, also `taught` (B, 2, L)."""
    inputs = model_inputs(rows, pad_token_id, max_length=max_length)
    allowed = allowed_tokens(rows, inputs["input_ids"].shape[1])
    batch = {**inputs, **labels(rows, which), "allowed": allowed}
    if "lesson" in rows:
        batch["taught"] = taught(rows["lesson"], allowed)
    return batch


def taught(lessons: Sequence[np.ndarray], allowed: Tensor) -> Tensor:
    """Teachers' probabilities of start and end, (B, 2, L), from those of each row's allowed tokens, (2, N)."""
    both = allowed[:, None].expand(-1, 2, -1)
    values = torch.from_numpy(np.concatenate([lesson.ravel() for lesson in lessons])).float()
    return torch.zeros(both.shape).masked_scatter_(both, values)
