"""A trained model that answers: what `pipeline("question-answering")` was, with every method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.answering.engine import Answers, Sink, answer_windows
from spantune.answering.windows import StreamedWindows, Windows, make_windows, window_rules
from spantune.config import DecodeConfig, PredictorConfig, WindowConfig
from spantune.data import Corpus, Example
from spantune.data.prediction import Prediction
from spantune.errors import DataError, RunError
from spantune.modeling import SpanModel, load
from spantune.modeling.devices import choose_device, choose_dtype
from spantune.modeling.save_load import Saved
from spantune.runs.manifest import MANIFEST, AnsweringSettings, NullFit, saved_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def model_folder(run: str | Path) -> Path:
    """The saved model of a run (a folder, or `zoo/NAME`), or the folder itself where it holds one; else RunError."""
    if (saved := saved_in(run)) is not None:
        return saved
    raise RunError(
        "there is no trained model here",
        where=str(run),
        expected=f"a run folder, or a folder with {MANIFEST}",
        found="no such folder" if not Path(run).exists() else "a run that did not finish, or another folder",
        fix="name the --output of a finished `spantune train` (an unfinished one goes on with --resume)",
    )


def question_on(question: str, context: str) -> Example:
    """What is asked, as an example; DataError where either is empty."""
    for name, text in (("question", question), ("context", context)):
        if not text.strip():
            raise DataError(f"the {name} is empty", where=name, expected="some text")
    return Example(id="question", question=question, context=context)


class Predictor:
    """Answers questions with one trained model. Not for several threads at once (its tokenizer is not): see `Panel`.

    Args:
        model: in evaluation mode on its device. tokenizer: of its encoder.
        settings: saved with the model.
    """

    def __init__(
        self,
        model: SpanModel,
        tokenizer: PreTrainedTokenizerFast,
        settings: AnsweringSettings,
        config: PredictorConfig | None = None,
    ) -> None:
        config = config or PredictorConfig()
        device = choose_device(config.device)
        self.model, self.tokenizer, self.settings = model.to(device).eval(), tokenizer, settings
        self.dtype = choose_dtype(config.precision, device)
        self.decode = DecodeConfig(
            max_answer_length=config.max_answer_length or settings.max_answer_length,
            eval_batch_size=config.eval_batch_size,
        )
        self.rules = window_rules(
            WindowConfig(max_length=settings.max_length, doc_stride=settings.doc_stride),
            tokenizer,
            longest=model.max_length,
            segment_ids=model.sends_segment_ids,
        )

    @classmethod
    def load(cls, run: str | Path, config: PredictorConfig | None = None) -> Predictor:
        """The model of a finished run (`runs/lora-0`) or of an adapter folder.

        Raises:
            RunError: no usable model is there. EncoderError: it belongs to another encoder.
        """
        saved: Saved = load(model_folder(run))
        if config is not None and config.merge and saved.model.method.mergeable:
            saved.model.merge()
        return cls(saved.model, saved.tokenizer, saved.settings, config)

    @property
    def squad_v2(self) -> bool:
        """Whether it may answer nothing."""
        return self.settings.squad_v2

    @property
    def null(self) -> NullFit | None:
        """What it learned about "no answer"; None where it always answers."""
        return self.settings.null

    def ask(self, question: str, context: str, *, n_best: int = DecodeConfig.n_best) -> Prediction:
        """Answer one question on one context, however long; DataError where either is empty."""
        return self.predict([question_on(question, context)], n_best=n_best)[0]

    def predict(self, examples: Sequence[Example], *, n_best: int = DecodeConfig.n_best) -> list[Prediction]:
        """Answer many questions in batches of similar length; one prediction an example, in order."""
        if not examples:
            return []
        kept: list[Prediction] = []
        self.answer(Corpus.of(tuple(examples), "questions"), n_best=n_best, sink=kept.append)
        return kept

    def answer(
        self, corpus: Corpus, *, n_best: int = DecodeConfig.n_best, cache: bool = False, sink: Sink | None = None
    ) -> Answers:
        """Answer a corpus of any size: its predictions go to `sink` one by one, in order.

        Args:
            cache: keep its windows on disk for the next run on the same data.
            sink: see `answer_windows`.
        """
        windows = make_windows if cache else StreamedWindows
        return self.answer_windows(windows(corpus, self.tokenizer, self.rules), n_best=n_best, sink=sink)

    def answer_windows(
        self, windows: Windows | StreamedWindows, *, n_best: int = DecodeConfig.n_best, sink: Sink | None = None
    ) -> Answers:
        """The same, on windows made before."""
        return answer_windows(
            self.model,
            windows,
            pad_token_id=self.tokenizer.pad_token_id,
            decode=replace(self.decode, n_best=n_best),
            dtype=self.dtype,
            squad_v2=self.settings.squad_v2,
            null_threshold=self.settings.null_threshold,
            sink=sink,
        )
