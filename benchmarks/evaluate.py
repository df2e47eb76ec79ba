"""Evaluation: examples a second from text to EM and F1, with the same weights on both sides and no cache on either."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import ours, usual_recipe
from benchmarks.material import corpus_of, encoder
from benchmarks.measure import Work, alternate, compare, rates, timed
from benchmarks.plan import Plan
from benchmarks.results import Figure, Part

BAR = 5.0
OURS, USUAL = "spantune", "usual recipe"


def measure(plan: Plan) -> Part:
    """Tokenise, forward, decode, score. The head is new, so the scores only show that both sides do the same."""
    with tempfile.TemporaryDirectory() as scratch:
        plan = replace(plan, model=encoder(plan.model, Path(scratch)))
        corpus = corpus_of(plan.data, plan.evaluate_examples, split="validation")
        predictor = ours.predictor(plan)
        model = usual_recipe.load_model(plan.model)
        model.load_state_dict(predictor.model.network.state_dict())
        predicting = usual_recipe.trainer(model, None, Path(scratch), batch_size=plan.batch_size, device=plan.device)
        count, device = len(corpus.examples), predictor.model.device
        scored: dict[str, dict[str, float]] = {}

        def fast() -> None:
            scored[OURS] = ours.evaluate(predictor, corpus)

        def usual() -> None:
            found = usual_recipe.evaluate(predicting, predictor.tokenizer, corpus.examples, plan.windows)
            scored[USUAL] = dict(found)

        def block(way: str) -> Work:
            return timed({OURS: fast, USUAL: usual}[way], units=count, device=device)

        ways = {OURS: lambda: block(OURS), USUAL: lambda: block(USUAL)}
        rounds = alternate(ways, rounds=plan.evaluate_rounds, seconds=plan.evaluate_seconds)
    speeds = rates(rounds)
    note = (
        f"{speeds[OURS]:.3g} against {speeds[USUAL]:.3g} examples/s; "
        f"F1 of the untrained head {scored[OURS]['f1']:.1f} and {scored[USUAL]['f1']:.1f}"
    )
    figure = Figure.ratio("evaluation, text to score", compare(rounds, OURS, USUAL), bar=BAR, note=note)
    raw = [{name: asdict(work) for name, work in one.items()} for one in rounds]
    return Part("evaluate", (figure,), details={"scores": scored, "rounds": raw})
