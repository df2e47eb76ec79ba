"""The usual recipe: what one writes after reading the public documentation of transformers and PEFT.

Every window is padded to `max_length`; fp32; the checkpoint's own dropout; stock attention (`sdpa`); adapters through
`get_peft_model` with the task type `QUESTION_ANS`; the plain `Trainer`; all logits in memory; a triple loop over
windows, starts and ends. PEFT's faults (segment ids that are lost, prompts that shift labels) are left as they are:
they cost no time. The adapter's own settings are spantune's, so that both sides train the same weights.

Nothing here is copied from a script; the recipe is written down anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spantune.config import WindowConfig
from spantune.data import Example
from spantune.errors import MethodError
from spantune.methods import Unfreeze, get
from spantune.modeling.devices import choose_device
from spantune.modeling.encoders import locate

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast, Trainer

    from spantune.config.training import Device

N_BEST, MAX_ANSWER_LENGTH = 20, 30
EVAL_BATCH_SIZE = 8  # the Trainer's default
ENDLESS = 1_000_000


class Logits(NamedTuple):
    """Start and end scores of every window, (windows, `max_length`) each."""

    start: np.ndarray
    end: np.ndarray


def load_model(model: str, method: str = "full", *, attention: str = "sdpa", seed: int = 0) -> Any:
    """The stock question-answering model; inside PEFT's wrapper for a method that has one.

    Raises:
        MethodError: PEFT does not have the method.
    """
    import torch
    from peft import PeftConfig, get_peft_model
    from transformers import AutoModelForQuestionAnswering

    from spantune.modeling.architecture_detection import shape_of

    torch.manual_seed(seed)
    network = AutoModelForQuestionAnswering.from_pretrained(
        locate(model), attn_implementation=attention, dtype=torch.float32
    )
    chosen = get(method)
    injection: Any = chosen.inject(chosen.resolve({}), shape_of(network))
    if isinstance(injection, Unfreeze):
        for name, weight in network.base_model.named_parameters():
            weight.requires_grad = re.fullmatch(injection.pattern, name) is not None
        return network
    if not isinstance(injection, PeftConfig):
        raise MethodError(
            f"the usual recipe has no {method}",
            expected="full, or a method that PEFT makes",
            found=f"{chosen.label}, which spantune makes itself",
            fix="leave it out of --methods",
        )
    injection.task_type = "QUESTION_ANS"
    return get_peft_model(network, injection)


def training_features(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, lengths: WindowConfig
) -> Dataset:
    """Padded windows with the first answer's token positions; token 0 where the window does not hold it."""

    def features(batch: dict[str, list[Any]]) -> dict[str, Any]:
        encoded = _tokenised(batch, tokenizer, lengths)
        origin, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
        places = []
        for window, row in enumerate(origin):
            answer = batch["answers"][row]
            first = answer["answer_start"][0]
            span = (first, first + len(answer["text"][0]))
            places.append(_token_span(offsets[window], encoded.sequence_ids(window), span))
        encoded["start_positions"] = [start for start, _ in places]
        encoded["end_positions"] = [end for _, end in places]
        return dict(encoded)

    return _mapped(examples, features)


def evaluation_features(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, lengths: WindowConfig
) -> Dataset:
    """Padded windows with their example's id and their offsets, None outside the context."""

    def features(batch: dict[str, list[Any]]) -> dict[str, Any]:
        encoded = _tokenised(batch, tokenizer, lengths)
        origin = encoded.pop("overflow_to_sample_mapping")
        encoded["example_id"] = [batch["id"][row] for row in origin]
        encoded["offset_mapping"] = [
            [pair if part == 1 else None for pair, part in zip(offsets, encoded.sequence_ids(window), strict=True)]
            for window, offsets in enumerate(encoded["offset_mapping"])
        ]
        return dict(encoded)

    return _mapped(examples, features)


def trainer(
    model: Any, features: Dataset | None, folder: Path, *, batch_size: int, device: Device, **more: Any
) -> Trainer:
    """The plain Trainer with its defaults, silent and without checkpoints."""
    from transformers import PrinterCallback, Trainer, TrainingArguments, default_data_collator

    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=EVAL_BATCH_SIZE,
        label_names=["start_positions", "end_positions"],
        use_cpu=choose_device(device).type == "cpu",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **{"max_steps": ENDLESS, **more},
    )
    made = Trainer(model, arguments, train_dataset=features, data_collator=default_data_collator)
    made.remove_callback(PrinterCallback)
    return made


def predict(predicting: Trainer, features: Dataset) -> Logits:
    """The logits of all windows, kept in memory."""
    start, end = predicting.predict(features).predictions  # type: ignore[misc, arg-type]
    return Logits(np.asarray(start), np.asarray(end))


def best_answers(
    examples: Sequence[Example],
    features: Dataset,
    logits: Logits,
    *,
    n_best: int = N_BEST,
    max_answer_length: int = MAX_ANSWER_LENGTH,
) -> dict[str, list[dict[str, Any]]]:
    """The `n_best` candidates of every example by id, best first: `text`, `score` and `probability`.

    Its rules differ from spantune's in three points: only the `n_best` highest starts and ends of a window are paired,
    so that the best span can be missed; the softmax runs over the candidates that are left, not over all spans; equal
    spans of two windows are two candidates. An example without a candidate gets the empty answer.
    """
    windows_of: dict[str, list[int]] = defaultdict(list)
    for window, example_id in enumerate(features["example_id"]):
        windows_of[example_id].append(window)
    answers = {}
    for example in examples:
        candidates: list[dict[str, Any]] = []
        for window in windows_of[example.id]:
            offsets = features[window]["offset_mapping"]
            starts, ends = (np.argsort(-scores[window], kind="stable")[:n_best].tolist() for scores in logits)
            for start in starts:
                for end in ends:
                    if offsets[start] is None or offsets[end] is None:
                        continue
                    if not start <= end < start + max_answer_length:
                        continue
                    text = example.context[offsets[start][0] : offsets[end][1]]
                    score = float(logits.start[window][start] + logits.end[window][end])
                    candidates.append({"text": text, "score": score})
        best = sorted(candidates, key=lambda one: one["score"], reverse=True)[:n_best]
        answers[example.id] = _with_probabilities(best or [{"text": "", "score": 0.0}])
    return answers


def evaluate(
    predicting: Trainer, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], lengths: WindowConfig
) -> Mapping[str, float]:
    """From text to EM and F1. The score itself is spantune's: it costs next to nothing and gives the same numbers."""
    from spantune.scoring.official_metrics import score

    features = evaluation_features(examples, tokenizer, lengths)
    found = best_answers(examples, features, predict(predicting, features))
    return score(examples, {example_id: best[0]["text"] for example_id, best in found.items()})


def ask(model: Any, tokenizer: PreTrainedTokenizerFast, question: str, context: str, lengths: WindowConfig) -> str:
    """One question to one model: padded windows, fp32, the triple loop."""
    import torch

    example = Example(id="question", question=question, context=context)
    features = evaluation_features([example], tokenizer, lengths)
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in features.column_names]
    device = next(model.parameters()).device
    with torch.no_grad():
        scored = model(**{name: torch.tensor(features[name][:], device=device) for name in names})
    virtual = scored.start_logits.shape[1] - len(features["input_ids"][0])  # a prompt's scores come first
    start, end = (one[:, virtual:].cpu().numpy() for one in (scored.start_logits, scored.end_logits))
    return str(best_answers([example], features, Logits(start, end))["question"][0]["text"])


def _tokenised(batch: Mapping[str, list[Any]], tokenizer: PreTrainedTokenizerFast, lengths: WindowConfig) -> Any:
    return tokenizer(
        [question.lstrip() for question in batch["question"]],
        batch["context"],
        truncation="only_second",
        max_length=lengths.max_length,
        stride=lengths.doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length",
    )


def _mapped(examples: Sequence[Example], features: Any) -> Dataset:
    from datasets import Dataset

    rows = [
        {
            "id": one.id,
            "question": one.question,
            "context": one.context,
            "answers": {
                "text": [answer.text for answer in one.answers],
                "answer_start": [answer.start for answer in one.answers],
            },
        }
        for one in examples
    ]
    dataset = Dataset.from_list(rows)
    return dataset.map(features, batched=True, remove_columns=dataset.column_names, load_from_cache_file=False)


def _token_span(
    offsets: Sequence[tuple[int, int]], parts: Sequence[int | None], span: tuple[int, int]
) -> tuple[int, int]:
    """First and last token of the characters `span` in a window, or (0, 0) where it does not hold them all."""
    context = [token for token, part in enumerate(parts) if part == 1]
    if not context or offsets[context[0]][0] > span[0] or offsets[context[-1]][1] < span[1]:
        return 0, 0
    start = max(token for token in context if offsets[token][0] <= span[0])
    end = min(token for token in context if offsets[token][1] >= span[1])
    return start, end


def _with_probabilities(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    scores = np.array([one["score"] for one in candidates])
    shares = np.exp(scores - scores.max())
    return [{**one, "probability": float(share)} for one, share in zip(candidates, shares / shares.sum(), strict=True)]
