"""What teachers say of the windows that a pupil learns: computed once, kept beside the windows in `datasets`' cache.

A teacher is any finished run whose tokenizer makes the same tokens; its encoder may be another, and larger. Several
teach as one: the mean of their probabilities (an ensemble's answers, for the price of one model).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from spantune.config import TeacherConfig, TrainConfig
from spantune.errors import ConfigError
from spantune.features import Windows, make_windows, window_rules
from spantune.features.batches import allowed_tokens
from spantune.features.columns import Columns, Rows
from spantune.features.windows import CUT, cache_folder
from spantune.inference.engine import AT_ONCE, batch_logits, batch_tokens
from spantune.inference.predictor import Predictor, model_folder
from spantune.modeling.casting import linear_weights_cast
from spantune.modeling.loss import span_probabilities
from spantune.records.files import TEMPORARY, explained
from spantune.training.afterwards import predicting


@dataclass(frozen=True)
class Lessons:
    """Teachers' probabilities of start and end, for the windows that train, in their order.

    Attributes:
        values: those of a window's allowed tokens (`features.batches.allowed_tokens`), all starts before all ends, one
            window behind the other, in half precision. edges: (W + 1,) where each window begins.
    """

    values: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __getitem__(self, window: int) -> np.ndarray:
        """(2, N) of a window with N allowed tokens."""
        return self.values[self.edges[window] : self.edges[window + 1]].reshape(2, -1)


class TaughtRows:
    """Rows of windows, each with its `lesson`."""

    def __init__(self, rows: Any, lessons: Lessons) -> None:
        self.rows, self.lessons = rows, lessons

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return {**self.rows[number], "lesson": self.lessons[number]}

    def __getitems__(self, chosen: Sequence[int]) -> list[dict[str, Any]]:
        rows = self.rows.__getitems__(chosen)
        return [{**row, "lesson": self.lessons[number]} for number, row in zip(chosen, rows, strict=True)]


def refuse_teachers(config: TeacherConfig) -> None:
    """RunError where one is no finished run: told before anything is trained."""
    for teacher in config.teachers:
        model_folder(teacher)


def lessons(config: TrainConfig, windows: Windows) -> Lessons | None:
    """What the configuration's teachers say of the windows that train; None without teachers.

    Raises:
        RunError: a teacher is no finished run.
        ConfigError: it reads other tokens than the pupil, its encoder is too short, or it cannot answer nothing where
            the pupil should learn to.
    """
    if not config.teachers or not config.epochs:
        return None
    path = cache_folder() / f"lessons-{_fingerprint(config, windows)}.safetensors"
    try:
        found = load_file(path)
    except (OSError, SafetensorError):  # not there, or torn
        found = _made(config, windows)
        making = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
        with explained(path):
            save_file(found, making)
            making.replace(path)
    return Lessons(found["values"], found["edges"])


def _fingerprint(config: TrainConfig, windows: Windows) -> str:
    """A digest of all that lessons depend on: examples, lengths, temperature and the teachers' files."""
    rules = json.dumps(asdict(windows.rules), sort_keys=True)
    digest = hashlib.sha256(f"{windows.corpus.fingerprint}\0{rules}\0{config.teacher_temperature}".encode())
    for teacher in config.teachers:
        for file in sorted(path for path in Path(model_folder(teacher)).rglob("*") if path.is_file()):
            digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _made(config: TrainConfig, windows: Windows) -> dict[str, np.ndarray]:
    edges = np.concatenate([[0], np.cumsum(2 * _allowed(windows))])
    values = np.zeros(edges[-1], dtype=np.float32)
    for teacher in config.teachers:
        said_by = _said(teacher, config, windows)
        shown = {"desc": f"{teacher} answers", "unit": "window", "total": len(edges) - 1}
        for window, said in tqdm(said_by, disable=not sys.stderr.isatty(), **shown):
            values[edges[window] : edges[window + 1]] += said
    return {"values": (values / len(config.teachers)).astype(np.float16), "edges": edges}


def _allowed(windows: Windows) -> np.ndarray:
    """(W,) how many tokens are allowed, of each window that trains."""
    counts = [
        allowed_tokens(part.columns, int(part.columns["length"].max())).sum(dim=1).numpy()[_trains(part.columns)]
        for part in windows.parts(AT_ONCE)
    ]
    return np.concatenate(counts)


def _trains(columns: Columns) -> np.ndarray:
    return np.flatnonzero(columns["kind"] != CUT)


def _said(teacher: str, config: TrainConfig, windows: Windows) -> Iterator[tuple[int, np.ndarray]]:
    """A teacher's probabilities of each window that trains, with its number."""
    predictor = Predictor.load(teacher, replace(predicting(config), merge=True))
    theirs = _windows_of(predictor, teacher, config, windows)
    model, rules = predictor.model, theirs.rules
    tokens = batch_tokens(model.device, rules.max_length, config.eval_batch_size)
    begin = 0
    with linear_weights_cast(model, predictor.dtype):
        for part in theirs.parts(AT_ONCE):
            rows = Rows(part.columns, _trains(part.columns))
            pad = predictor.tokenizer.pad_token_id
            for batch, logits in batch_logits(model, rows, pad, rules.max_length, predictor.dtype, tokens=tokens):
                allowed = allowed_tokens(Rows(rows, batch), logits.start.shape[1])
                said = span_probabilities(logits, allowed.to(model.device), config.teacher_temperature).cpu().numpy()
                for row, both, mask in zip(batch, said, allowed.numpy(), strict=True):
                    yield begin + int(row), both[:, mask].ravel()
            begin += len(rows["kind"])


def _windows_of(predictor: Predictor, teacher: str, config: TrainConfig, windows: Windows) -> Windows:
    """The same windows as the teacher reads them (with segment ids, or without)."""
    if config.squad_v2 and not predictor.squad_v2:
        raise ConfigError(
            "a teacher that answers every question cannot teach when not to answer",
            where=f"teachers: {teacher}",
            expected="a run that was trained with --squad-v2",
            found="one that was trained without",
        )
    segment_ids = predictor.model.sends_segment_ids
    window_rules(config, predictor.tokenizer, longest=predictor.model.max_length, segment_ids=segment_ids)
    theirs = make_windows(windows.corpus, predictor.tokenizer, replace(windows.rules, segment_ids=segment_ids))
    ours = windows.dataset.with_format("arrow", columns=["input_ids"])[:]
    if not ours.equals(theirs.dataset.with_format("arrow", columns=["input_ids"])[:]):
        raise ConfigError(
            "a teacher reads other tokens than the encoder that learns",
            where=f"teachers: {teacher}",
            expected=f"a run on an encoder with the tokenizer of {config.model}",
            found=f"{len(theirs)} windows for {len(windows)}, or other token ids in them",
            fix="a teacher on an encoder of the same vocabulary",
        )
    return theirs
