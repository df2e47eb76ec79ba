"""Meaning beside EM, with embeddings made up for the purpose; the encoder with a tiny random model."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from spantune.data import Answer, Example
from spantune.errors import EncoderError
from spantune.scoring.scores import score_runs
from spantune.scoring.semantic import meanings, semantic_scores, sentence_encoder

CONTEXT = "The river Tyne froze in 1841, after ten cold days."
ASKED = Example("which", "Which river?", CONTEXT, (Answer("Tyne", 10), Answer("froze", 15)))
WHEN = Example("when", "When?", CONTEXT, (Answer("1841", 24),))
NONE = Example("none", "Why?", CONTEXT)
VECTORS = {
    "Tyne": (1.0, 0.0),
    "froze": (0.0, 1.0),
    "river Tyne": (0.96, 0.28),
    "river": (0.5, 0.866),
    "ten cold days": (-1.0, 0.0),
    "1841": (0.0, 1.0),
    "in 1841": (0.1, 0.995),
    "1842": (0.0, 1.0),
}


class Embedder:
    """Looks the vectors up and remembers what was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked.extend(texts)
        return np.array([VECTORS[text] for text in texts], dtype=np.float32)


def of(which="Tyne", when="1841", none=""):
    return {"which": which, "when": when, "none": none}


def meaning(*runs):
    embed = Embedder()
    (made,) = meanings(score_runs((ASKED, WHEN, NONE), {"a": list(runs)}), embed)
    return made, embed.asked


def test_what_a_run_keeps():
    given = of(which="river Tyne", when="1842", none="river")
    found = semantic_scores((ASKED, WHEN, NONE), given, "v2.0", Embedder())
    assert found == {"semantic": pytest.approx(100 * (0.96 + 1 + 0) / 3), "em_wrong": 3, "right_in_meaning": 1}


def test_right_answers_are_not_embedded():
    made, asked = meaning(of())
    assert made.cosine.tolist() == [[1.0, 1.0, 1.0]] and asked == []
    assert (made.similarity, made.right_in_meaning, made.wrong) == (100.0, 0.0, 0.0)


def test_the_closest_accepted_answer_counts():
    made, asked = meaning(of("river Tyne"), of("river"))
    assert made.cosine[:, 0].tolist() == pytest.approx([0.96, 0.866])
    assert made.rescued.tolist() == [[True, False, False], [True, False, False]]
    assert sorted(asked) == ["Tyne", "froze", "river", "river Tyne"], "each text once"
    assert made.wrong == 1.0


def test_an_opposite_is_nothing_and_silence_is_no_answer():
    made, _ = meaning(of("ten cold days"), of(""), of(none="Tyne"))
    assert made.cosine.tolist() == [[0, 1, 1], [0, 1, 1], [1, 1, 0]]
    assert not made.rescued.any()
    assert made.similarity == pytest.approx(100 * 6 / 9) and made.wrong == 1.0


def test_other_numbers_are_never_right():
    made, _ = meaning(of(when="1842"), of(when="in 1841"))
    assert made.cosine[:, 1] == pytest.approx([1.0, 0.995])
    assert made.rescued[:, 1].tolist() == [False, True]
    assert made.right_in_meaning == 0.5


def test_the_threshold_is_the_callers():
    scores = score_runs((ASKED,), {"a": [{"which": "river Tyne"}]})
    assert [meanings(scores, Embedder(), value)[0].right_in_meaning for value in (0.95, 0.97)] == [1.0, 0.0]


def test_an_embedding_is_the_mean_of_its_tokens(tiny_bert):
    """Alone or in a batch with padding, whatever the order; and torch's random numbers stay where they were."""
    before = torch.get_rng_state()
    embed = sentence_encoder(str(tiny_bert), device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    texts = ["Ada Moor", "the old mill in 1841. " * 3, "a", "Ada Moor"]
    made = embed(texts)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_bert), AutoModel.from_pretrained(tiny_bert).eval()
    for text, vector in zip(texts, made, strict=True):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0).numpy()
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=0.02)  # bf16 where the processor has it
    assert made.shape == (4, 32) and np.linalg.norm(made, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert np.allclose(embed(texts[::-1])[::-1], made, atol=0.02)


def test_an_encoder_that_is_not_there(tmp_path):
    with pytest.raises(EncoderError):
        sentence_encoder(str(tmp_path), device="cpu")
