"""What teachers say of the windows that a pupil learns: computed once, kept beside the windows in `datasets`' cache.

A teacher is any finished run whose tokenizer makes the same tokens; its encoder may be another, and larger. Several
teach as one: the mean of their probabilities (an ensemble's answers, for the price of one model).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from spantune.answering import cache
from spantune.answering.arrow_arrays import Columns, take
from spantune.answering.batches import allowed_tokens
from spantune.answering.engine import AT_ONCE, batch_logits, batch_tokens
from spantune.answering.labels import CUT
from spantune.answering.predictor import Predictor, model_folder
from spantune.answering.windows import Windows, make_windows
from spantune.config import RunConfig, TrainConfig
from spantune.errors import ConfigError
from spantune.modeling.devices import choose_device, choose_dtype
from spantune.modeling.kernels.weight_casting import linear_weights_cast
from spantune.modeling.loss import span_probabilities
from spantune.runs.manifest import read_manifest
from spantune.training.lineage import digests
from spantune.training.run_settings import predicting

if TYPE_CHECKING:
    from pyarrow import Table


_ENDING = ".safetensors"


@dataclass(frozen=True)
class Lessons:
    """Teachers' probabilities of start and end, for the windows that train, in their order.

    Attributes:
        values: those of a window's allowed tokens (`answering.batches.allowed_tokens`), all starts before all ends,
            window after window, in half precision. edges: (W + 1,) where each window begins.
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
        return self.__getitems__([number])[0]

    def __getitems__(self, chosen: Sequence[int]) -> list[dict[str, Any]]:
        rows = self.rows.__getitems__(chosen)
        return [{**row, "lesson": self.lessons[number]} for number, row in zip(chosen, rows, strict=True)]


def refuse_teachers(config: RunConfig) -> None:
    """Check the teachers before anything is trained or an older run is replaced.

    Raises:
        RunError: a teacher is no finished run. ConfigError: it always answers, and the pupil should learn not to.
    """
    for teacher in config.teachers:
        settings = read_manifest(model_folder(teacher)).settings
        if config.squad_v2 and not settings.squad_v2:
            raise ConfigError(
                "a teacher that answers every question cannot teach when not to answer",
                where=f"teachers: {teacher}",
                expected="a run that was trained with --squad-v2",
                found="one that was trained without",
            )


def lessons(config: TrainConfig, windows: Windows) -> Lessons | None:
    """What the configuration's teachers say of the windows that train; None without teachers.

    Of several processes that need the same lessons, one asks the teachers and the others wait for its file.

    Raises:
        RunError: a teacher is no finished run.
        ConfigError: it reads other tokens than the pupil, or its encoder has fewer positions than a window.
    """
    if not config.teachers or not config.epochs:
        return None
    name = f"lessons-{_key(config, windows)}"
    with _alone(name):
        answers = _kept(name)
        if answers is None:
            answers = _made(config, windows)
            _keep(answers, name)
    return Lessons(answers["values"], answers["edges"])


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process in at a time; if the cache cannot be written, all."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(FileLock(cache.cache_folder() / f"{name}.lock"))
        yield


def _kept(name: str) -> dict[str, np.ndarray] | None:
    """What the teachers said in an earlier run; None if it is not in the cache."""
    try:
        path = cache.kept(name, _ENDING)
        return None if path is None else load_file(path)
    except (OSError, SafetensorError):
        return None


def _keep(answers: dict[str, np.ndarray], name: str) -> None:
    """Keep the answers for the next run; if the cache is full or cannot be written, that run asks again."""
    try:
        with cache.making(_ENDING) as path:
            save_file(answers, path)
            cache.keep(path, name, _ENDING)
    except (OSError, SafetensorError) as error:
        cache.not_cached("what the teachers said", error)


def _key(config: TrainConfig, windows: Windows) -> str:
    """A digest of all that lessons depend on: the windows' tokens, the teachers, temperature and precision."""
    dtype = choose_dtype(config.precision, choose_device(config.device))
    digest = hashlib.sha256(json.dumps([digests(config.teachers), config.teacher_temperature, str(dtype)]).encode())
    for name in ("length", "context_first", "kind"):
        digest.update(windows.numbers(name).tobytes())
    for chunk in _tokens(windows)["input_ids"].chunks:
        digest.update(chunk.flatten().to_numpy().tobytes())
    return digest.hexdigest()[:32]


def _made(config: TrainConfig, windows: Windows) -> dict[str, np.ndarray]:
    edges = np.concatenate([[0], np.cumsum(2 * _allowed(windows))])
    values = np.zeros(edges[-1], dtype=np.float32)
    for teacher in config.teachers:
        said_by = _said(teacher, config, windows)
        shown = {"desc": f"{teacher} answers", "unit": "window", "total": len(edges) - 1}
        for window, answers in tqdm(said_by, disable=not sys.stderr.isatty(), **shown):
            values[edges[window] : edges[window + 1]] += answers
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
            rows = take(part.columns, _trains(part.columns))
            pad = predictor.tokenizer.pad_token_id
            for batch, logits in batch_logits(model, rows, pad, rules.max_length, predictor.dtype, tokens=tokens):
                allowed = allowed_tokens(take(rows, batch), logits.start.shape[1])
                shares = span_probabilities(logits, allowed.to(model.device), config.teacher_temperature).cpu().numpy()
                for row, both, mask in zip(batch, shares, allowed.numpy(), strict=True):
                    yield begin + int(row), both[:, mask].ravel()
            begin += len(rows["kind"])


def _windows_of(predictor: Predictor, teacher: str, config: TrainConfig, windows: Windows) -> Windows:
    """The same windows as the teacher reads them (with segment ids, or without)."""
    model, rules = predictor.model, windows.rules
    if rules.max_length > model.max_length:
        raise ConfigError(
            f"windows of {rules.max_length} tokens do not fit into a teacher",
            where=f"teachers: {teacher}",
            expected=f"max-length of at most {model.max_length} (its positions, less those of virtual tokens)",
            found=f"max-length {rules.max_length}",
            fix=f"--max-length {model.max_length}, or another teacher",
        )
    theirs = make_windows(windows.corpus, predictor.tokenizer, replace(rules, segment_ids=model.sends_segment_ids))
    if _tokens(windows) != _tokens(theirs):
        raise ConfigError(
            "a teacher reads other tokens than the encoder that learns",
            where=f"teachers: {teacher}",
            expected=f"a run on an encoder with the tokenizer of {config.model}",
            found=f"{len(theirs)} windows for {len(windows)}, or other token ids in them",
            fix="a teacher on an encoder of the same vocabulary",
        )
    return theirs


def _tokens(windows: Windows) -> Table:
    return windows.dataset.with_format("arrow", columns=["input_ids"])[:]
