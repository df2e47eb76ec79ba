"""Answers that are wrong by EM and right in meaning: cosine of sentence embeddings between prediction and gold.

After the semantic answer similarity of Risch et al., 2021 (https://aclanthology.org/2021.mrqa-1.15/), with the bundled
encoder, all-MiniLM-L6-v2 (Reimers and Gurevych, 2019, https://arxiv.org/abs/1908.10084): mean of the last layer's
tokens, scaled to length 1. It complements EM and F1 and replaces neither: it does not know which of two numbers or
two names is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spantune.config import BUNDLED, Device
from spantune.data.example import Example
from spantune.scoring.official_metrics import Rules
from spantune.scoring.scores import Answers, Scores, score_runs
from spantune.scoring.words import numbers

THRESHOLD = 0.8
"""From this cosine on two answers mean the same, if they hold the same numbers, too.

Chosen on the answers of SQuADShifts' annotators (Wikipedia, Reddit, Amazon), pairs that EM calls different: 4,774 from
two annotators to one question, 6,834 to two questions on one context, of the same type. Of the former it accepts 28%,
of the latter 0.7%; from 0.7 on it would be 42% and 1.7%; without the rule on numbers 29% and 1.5%, of numbers alone 7%.
So the count is a lower bound that can be trusted, not an estimate of all that is right.
"""

Embed = Callable[[Sequence[str]], np.ndarray]
"""N texts to (N, D) vectors of length 1."""
_LONGEST = 128  # tokens; the rest is left out
_TOKENS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Meaning:
    """A method's answers by meaning, for S runs and Q questions.

    Attributes:
        cosine: (S, Q) highest cosine of an answer with an accepted one, 0 to 1. 1 if EM is 1; 0 if one of the two
            is "no answer" and the other is not.
        rescued: (S, Q) bool, whether EM calls an answer wrong and its meaning is right, see `THRESHOLD`.
        wrong: answers that EM calls wrong, the mean over runs.
    """

    method: str
    cosine: np.ndarray
    rescued: np.ndarray
    wrong: float

    @property
    def similarity(self) -> float:
        """Mean cosine, 0 to 100."""
        return 100 * float(self.cosine.mean())

    @property
    def right_in_meaning(self) -> float:
        """Answers that EM calls wrong and meaning calls right, the mean over runs."""
        return float(self.rescued.sum() / len(self.rescued))


def meanings(scores: Scores, embed: Embed | None = None, threshold: float = THRESHOLD) -> list[Meaning]:
    """The meaning of every method's answers. Every text is embedded once, and only where EM is 0.

    Args:
        embed: default: the bundled sentence encoder.

    Raises:
        EncoderError: the encoder cannot be loaded.
    """
    accepted = [
        list(dict.fromkeys(text for answer in example.answers if (text := answer.text.strip())))
        for example in scores.examples
    ]
    compared = [
        ((method, run, question), said, golds)
        for method, (runs, em) in enumerate(zip(scores.answers, scores.em_runs, strict=True))
        for run, question in np.argwhere(em < 1).tolist()
        if (said := runs[run][question].strip()) and (golds := accepted[question])
    ]
    texts = list(dict.fromkeys(text for _, answer, golds in compared for text in (answer, *golds)))
    place = {text: at for at, text in enumerate(texts)}
    vectors = (embed or sentence_encoder())(texts) if texts else np.empty((0, 1), dtype=np.float32)
    cosines = [np.where(em == 1, 1.0, 0.0) for em in scores.em_runs]
    rescued = [np.zeros(em.shape, dtype=bool) for em in scores.em_runs]
    for (method, run, question), said, golds in compared:
        nearness = np.clip(vectors[[place[gold] for gold in golds]] @ vectors[place[said]], 0.0, 1.0)
        cosines[method][run, question] = nearness.max()
        near = [gold for gold, cosine in zip(golds, nearness.tolist(), strict=True) if cosine >= threshold]
        rescued[method][run, question] = any(numbers(gold) == numbers(said) for gold in near)
    wrong = [float((em < 1).sum() / len(em)) for em in scores.em_runs]
    return [Meaning(*row) for row in zip(scores.methods, cosines, rescued, wrong, strict=True)]


def semantic_scores(
    examples: Sequence[Example],
    answers: Answers,
    rules: Rules | None = None,
    embed: Embed | None = None,
    language: str | None = None,
) -> dict[str, float]:
    """What the record of a run keeps: `semantic` (mean cosine, 0 to 100), and how many answers are wrong by EM
    (`em_wrong`) and of these right in meaning (`right_in_meaning`).

    Raises:
        DataError: other questions were answered. EncoderError: the encoder cannot be loaded.
    """
    (meaning,) = meanings(score_runs(examples, {"run": [answers]}, rules, language), embed)
    return {"semantic": meaning.similarity, "em_wrong": meaning.wrong, "right_in_meaning": meaning.right_in_meaning}


def sentence_encoder(name: str | None = None, device: Device = "auto") -> Embed:
    """An encoder of whole texts: mean of its last layer's tokens, as all-MiniLM-L6-v2 was trained.

    Args:
        name: default: the bundled encoder. One that was not trained for it gives vectors that mean little.

    Raises:
        EncoderError: it cannot be loaded.
    """
    import torch

    from spantune.answering.batches import sorted_batches
    from spantune.modeling.devices import choose_device, choose_dtype
    from spantune.modeling.save_load import load_network, load_tokenizer

    where = choose_device(device)
    dtype = choose_dtype("auto", where)
    tokenizer = load_tokenizer(name or BUNDLED)
    with torch.random.fork_rng(devices=[]):  # its span head, which is not used, is drawn at random
        encoder: Any = load_network(name or BUNDLED).base_model.to(where)

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> np.ndarray:
        ids = tokenizer(list(texts), truncation=True, max_length=_LONGEST, return_attention_mask=False)["input_ids"]
        made = np.empty((len(ids), encoder.config.hidden_size), dtype=np.float32)
        for rows in sorted_batches([len(tokens) for tokens in ids], _TOKENS_AT_ONCE):
            inputs = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt").to(where)
            with torch.autocast(where.type, dtype, enabled=dtype != torch.float32):
                hidden = encoder(**inputs).last_hidden_state
            weights = inputs["attention_mask"][..., None].float()
            means = (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)
            made[rows] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return made

    return embed
