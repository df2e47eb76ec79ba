"""A given true answer is compared by the rule by which the model's run was scored."""

from __future__ import annotations

from spantune.web.answer_scores import score_answer


def test_em_f1_and_words_are_those_of_the_rule() -> None:
    found = score_answer("北京", ["北京市"], squad_v2=False, language="zh")
    assert found is not None and (found.em, found.f1) == (0, 0.8)
    assert (found.missed, found.added) == (["市"], [])
    official = score_answer("北京", ["北京市"], squad_v2=False)
    assert official is not None and (official.f1, official.missed) == (0, ["北京市"])
