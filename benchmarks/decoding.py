"""Decoding alone: from the same logits to answers, against the triple loop, and whether both find the same."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import ours, usual_recipe
from benchmarks.material import corpus_of, encoder
from benchmarks.measure import Ratio, Round, alternate, compare, rates, timed
from benchmarks.plan import Plan
from benchmarks.results import Figure, Part
from benchmarks.usual_recipe import Logits
from spantune.answering.batches import context_mask
from spantune.answering.windows import Windows
from spantune.data import Example
from spantune.data.prediction import Prediction

if TYPE_CHECKING:
    from datasets import Dataset

BAR = 50.0
OURS, CANDIDATES, USUAL = "spantune", "spantune, with candidates", "triple loop"


@dataclass(frozen=True)
class Agreement:
    """Examples whose best answers were compared: equal text, a better span that the loop cannot reach, and the rest."""

    examples: int
    equal: int
    better: int

    @property
    def wrong(self) -> int:
        return self.examples - self.equal - self.better


def measure(plan: Plan) -> Part:
    """From the logits that each side's model leaves behind, and the windows where they lie, to the answers.

    spantune looks for candidates only where somebody wants to see them; the loop cannot do without.
    """
    with tempfile.TemporaryDirectory() as scratch:
        plan = replace(plan, model=encoder(plan.model, Path(scratch)))
        windows, features = both_windows(plan)
    logits = plausible_logits(windows, plan.windows.max_length)
    left = ours.as_left_by_the_model(windows, *logits)
    examples = windows.corpus.examples
    count = len(examples)
    ways = {
        OURS: lambda: timed(lambda: ours.decode(windows, left), units=count),
        CANDIDATES: lambda: timed(lambda: ours.decode(windows, left, sink=_drop), units=count),
        USUAL: lambda: timed(lambda: usual_recipe.best_answers(examples, features, logits), units=count),
    }
    rounds = alternate(ways, rounds=plan.decode_rounds, seconds=plan.evaluate_seconds)
    some = examples[: plan.decode_exact_examples]
    exact = timed(lambda: exhaustive(some, features, logits), units=len(some))
    found: list[Prediction] = []
    ours.decode(windows, left, sink=found.append)
    looped = usual_recipe.best_answers(examples, features, logits)
    agreed = agreement(found, looped), agreement(found[: len(some)], exhaustive(some, features, logits))
    figures = _figures(rounds, [one[OURS].rate / exact.rate for one in rounds], agreed)
    raw = [{name: asdict(work) for name, work in one.items()} for one in rounds]
    details = {"windows": len(windows), "agreement": [asdict(one) for one in agreed], "rounds": raw}
    return Part("decoding", figures, details={**details, "exact": asdict(exact)})


def _drop(_: Prediction) -> None:
    """Candidates go into a file one question after another; none is kept."""


def _figures(
    rounds: Sequence[Round], against_exact: Sequence[float], agreed: tuple[Agreement, Agreement]
) -> tuple[Figure, ...]:
    speeds, (usual, exact) = rates(rounds), agreed
    note = (
        f"the answers alone; {speeds[OURS]:.3g} against {speeds[USUAL]:.3g} examples/s; {usual.equal} of "
        f"{usual.examples} best answers equal, {usual.better} better than the loop's {usual_recipe.N_BEST} starts and "
        f"ends allow, {usual.wrong} worse"
    )
    more = f"{usual_recipe.N_BEST} of each question, with their probabilities; {speeds[CANDIDATES]:.3g} examples/s"
    exact_note = f"all starts and ends, as exact as spantune: {exact.equal} of {exact.examples} best answers equal"
    loop = "decoding alone, against the triple loop"
    return (
        Figure.ratio(loop, compare(rounds, OURS, USUAL), bar=BAR, note=note),
        Figure.ratio(f"{loop}, with all candidates", compare(rounds, CANDIDATES, USUAL), note=more),
        Figure.ratio("decoding alone, against an exact triple loop", Ratio.of(against_exact), note=exact_note),
    )


def exhaustive(examples: Sequence[Example], features: Dataset, logits: Logits) -> dict[str, list[dict[str, Any]]]:
    """The triple loop over all starts and all ends: what it takes to miss no span."""
    return usual_recipe.best_answers(examples, features, logits, n_best=logits.start.shape[1])


def both_windows(plan: Plan) -> tuple[Windows, Dataset]:
    """The same questions cut by both sides; ValueError where they do not come to the same windows."""
    predictor = ours.predictor(plan)
    corpus = corpus_of(plan.data, plan.decode_examples, split="validation")
    windows = ours.windows_of(plan.windows, corpus, predictor.model, predictor.tokenizer)
    features = usual_recipe.evaluation_features(corpus.examples, predictor.tokenizer, plan.windows)
    if [sum(mask) for mask in features["attention_mask"]] != list(windows.lengths):
        raise ValueError("the two sides cut the same text into different windows")
    return windows, features


def plausible_logits(windows: Windows, length: int, *, seed: int = 0) -> Logits:
    """(windows, `length`) as a trained model gives them.

    Noise of width 2; 10 lower outside the context; a peak of 12, falling off over 3 tokens, at the first answer of a
    window or, where there is none, at its first token.
    """
    random = np.random.default_rng(seed)
    (columns,) = (part.columns for part in windows.parts(len(windows)))
    outside = ~context_mask(columns, length).numpy()
    places, made = np.arange(length), []
    for key in ("starts", "ends"):
        scores = random.normal(scale=2, size=(len(windows), length)).astype(np.float32) - 10 * outside
        peaks = np.array([next(iter(tokens), 0) for tokens in columns[key]])[:, None]
        made.append((scores + 12 * np.exp(-np.abs(places - peaks) / 3)).astype(np.float32))
    return Logits(*made)


def agreement(ours: Sequence[Prediction], theirs: dict[str, list[dict[str, Any]]]) -> Agreement:
    """spantune's best answers against the triple loop's; equal scores count as equal answers (ties)."""
    equal = better = 0
    for prediction in ours:
        best = theirs[prediction.id][0]
        if prediction.text == best["text"] or prediction.score == best["score"]:
            equal += 1
        elif not best["text"] or prediction.score > best["score"]:
            better += 1
    return Agreement(len(ours), equal, better)
