"""The finding says what the statistics allow, and no more."""

from dataclasses import replace

import numpy as np
from made_up import record

from spantune.data import Answer, Example
from spantune.reports.headline import _cheapest, finding, listed, p_shown
from spantune.reports.run_groups import group
from spantune.runs import ParameterCount
from spantune.scoring.scores import Scores
from spantune.scoring.statistics import compare

COUNT = 300
QUESTIONS = tuple(Example(f"q{n}", "What?", f"Text {n} holds words.", (Answer("words", 13),)) for n in range(COUNT))
LABELS = {"full": "Full fine-tuning", "lora": "LoRA", "ia3": "(IA)³"}


def found(right, seeds=1, **changes):
    """From the number of questions that each method gets right: the first so many."""
    em = {LABELS[name]: np.tile((np.arange(COUNT) < many).astype(float), (seeds, 1)) for name, many in right.items()}
    runs = tuple(em.values())
    answers = tuple(tuple(("",) * COUNT for _ in one) for one in runs)
    groups = group([record(name, seed, **changes) for name in right for seed in range(seeds)])
    return finding(groups, compare(Scores(tuple(em), QUESTIONS, answers, runs, runs), resamples=999))


def test_a_clear_winner():
    said = found({"full": 280, "lora": 200, "ia3": 100})
    assert said.sentence.startswith(
        "Full fine-tuning is better than each of the other 2 methods: F1 93.3 (95% interval"
    )
    assert "26.7 points" in said.more[0] and "ahead of LoRA, the next" in said.more[0]
    assert "one seed" in said.more[1] and "cannot be known" in said.more[1]


def test_a_winner_of_two():
    assert found({"full": 280, "lora": 200}).sentence.startswith("Full fine-tuning is better than LoRA: F1")


def test_a_tie_of_all_names_no_winner_and_the_smallest():
    said = found({"full": 201, "lora": 200})
    assert said.sentence.startswith("No difference can be shown between Full fine-tuning and LoRA (F1 66.7 to 67.0)")
    assert "better" not in str(said) and "LoRA trains the fewest parameters, 443 k (2.0% of the model)" in said.more[0]


def test_several_that_are_the_smallest_are_all_named():
    said = found({"full": 201, "lora": 200, "ia3": 199}, parameters=ParameterCount(1000, 2000, 2))
    assert not [one for one in said.more if "fewest" in one], "all alike"
    groups = [group([record(name)])[0] for name in ("full", "lora", "ia3")]
    same = [replace(one, runs=(replace(one.runs[0], parameters=groups[1].runs[0].parameters),)) for one in groups[1:]]
    tied = [one.label for one in groups]
    assert _cheapest(tied, [groups[0], *same]) == (
        "Of these, LoRA and (IA)³ train the fewest parameters, 443 k (2.0% of the model) each.",
    )


def test_a_tie_at_the_top():
    said = found({"full": 281, "lora": 280, "ia3": 100})
    assert said.sentence.startswith("Full fine-tuning and LoRA lead (F1 93.3 to 93.7), and no difference between them")
    assert "(IA)³" not in str(said)


def test_several_seeds_say_how_often_the_leader_is_ahead():
    said = found({"full": 280, "lora": 200}, seeds=2)
    assert said.more[-1] == "In 4 of 4 pairs of runs (one of each) its run is ahead of LoRA's."
    assert "one seed" not in str(said)


def test_one_method_is_compared_with_nothing():
    assert "nothing to compare it with" in found({"lora": 200}).sentence


def test_without_answers_no_difference_is_claimed():
    groups = group([record("full", seed) for seed in (0, 1)] + [record("lora")])
    said = finding(groups, None, ["the reported set is gone"])
    assert said.sentence.endswith("whether that is more than chance is not known.")
    assert "The reported set is gone." in said.more and "LoRA has one run only" in str(said)


def test_unfinished_runs_are_counted():
    failed = replace(record("lora"), status="failed")
    assert finding(group([failed]), None).sentence == "No run has finished, so there is nothing to compare."
    assert "1 run did not finish." in finding(group([record("full"), failed]), None).more


def test_words():
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert [p_shown(0.0001), p_shown(0.03), p_shown(0.4)] == ["p < 0.001", "p = 0.030", "p = 0.40"]
