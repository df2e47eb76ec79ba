"""A trained model that answers questions, as `pipeline("question-answering")` did, for every method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.answering.engine import CorpusAnswers, Sink, answer_windows
from spantune.answering.token_probabilities import Inside, look_inside
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import StreamedWindows, Windows, make_windows
from spantune.config import DecodeConfig, PredictorConfig, WindowConfig
from spantune.data import Corpus, Example
from spantune.data.checks.texts import require_readable, require_text
from spantune.data.prediction import Prediction
from spantune.errors import RunError
from spantune.modeling import SpanModel, load
from spantune.modeling.devices import choose_device, choose_dtype
from spantune.modeling.save_load import Saved
from spantune.runs.damage import refuse_others_model
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
        fix="name the --output of a finished `spantune train` (continue an unfinished one with --resume)",
    )


def question_on(question: str, context: str) -> Example:
    """The question and its context as an example; DataError if one is empty or no text that can be read."""
    return Example("question", require_text(question, "question"), require_text(context, "context"))


class NoFiniteScores(RunError):
    """The model's weights are numbers, and its scores are not: such answers are none."""

    def __init__(self, answers: CorpusAnswers) -> None:
        self.windows = f"{answers.broken_windows} of {answers.windows} windows without finite scores"
        super().__init__(
            "the model gives scores that are not numbers",
            expected="finite scores for every token",
            found=self.windows,
            fix="--precision fp32; otherwise its weights are damaged: bring them back, or train again",
        )


class Predictor:
    """Answers questions with one trained model. Not thread-safe, since its tokenizer is not: see `Panel`.

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
            RunError: no usable model is there, or a file of it is damaged. EncoderError: it belongs to another encoder.
        """
        config = config or PredictorConfig()
        folder = model_folder(run)
        if config.verify and folder.parent == Path(run):
            refuse_others_model(folder.parent)
        saved: Saved = load(folder, verify=config.verify)
        if config.merge and saved.model.method.mergeable:
            saved.model.merge()
        return cls(saved.model, saved.tokenizer, saved.settings, config)

    @property
    def squad_v2(self) -> bool:
        """Whether it may give no answer."""
        return self.settings.squad_v2

    @property
    def null(self) -> NullFit | None:
        """What it learned about "no answer"; None if it always answers."""
        return self.settings.null

    def ask(self, question: str, context: str, *, n_best: int = DecodeConfig.n_best) -> Prediction:
        """Answer one question on one context of any length; DataError as of `question_on`."""
        return self.predict([question_on(question, context)], n_best=n_best)[0]

    def predict(self, examples: Sequence[Example], *, n_best: int = DecodeConfig.n_best) -> list[Prediction]:
        """Answer many questions in batches of similar length; one prediction per example, in order.

        Raises:
            DataError: a question or context is empty or no text that can be read.
        """
        require_readable(examples)
        windows = StreamedWindows(Corpus.of(examples, "questions"), self.tokenizer, self.rules)
        return self.predict_windows(windows, n_best=n_best).predictions

    def inside(self, example: Example) -> Inside:
        """Where in the context the model sees the answer begin and end (`answering.token_probabilities`)."""
        corpus = Corpus.of((replace(example, answers=()),), "a look inside")
        return look_inside(
            self.model,
            StreamedWindows(corpus, self.tokenizer, self.rules),
            pad_token_id=self.tokenizer.pad_token_id,
            decode=self.decode,
            dtype=self.dtype,
            squad_v2=self.squad_v2,
        )

    def answer(
        self, corpus: Corpus, *, n_best: int = DecodeConfig.n_best, cache: bool = False, sink: Sink | None = None
    ) -> CorpusAnswers:
        """Answer a corpus of any size; `sink` receives its predictions one by one, in order.

        Args:
            cache: keep its windows on disk, where the next run on the same data reads them.
            sink: see `answer_windows`.
        """
        windows = make_windows if cache else StreamedWindows
        return self.answer_windows(windows(corpus, self.tokenizer, self.rules), n_best=n_best, sink=sink)

    def answer_windows(
        self, windows: Windows | StreamedWindows, *, n_best: int = DecodeConfig.n_best, sink: Sink | None = None
    ) -> CorpusAnswers:
        """Answer a corpus whose windows were made before; NoFiniteScores where the model's scores are no numbers."""
        answers = answer_windows(
            self.model,
            windows,
            pad_token_id=self.tokenizer.pad_token_id,
            decode=replace(self.decode, n_best=n_best),
            dtype=self.dtype,
            squad_v2=self.settings.squad_v2,
            null_threshold=self.settings.null_threshold,
            sink=sink,
        )
        if answers.broken_windows:
            raise NoFiniteScores(answers)
        return answers

    def predict_windows(self, windows: StreamedWindows, *, n_best: int = DecodeConfig.n_best) -> CorpusAnswers:
        """Answer windows made before and keep the predictions of all their examples."""
        kept: list[Prediction] = []
        answers = self.answer_windows(windows, n_best=n_best, sink=kept.append)
        return replace(answers, predictions=kept)
