"""The contract as tests: a class that names its families runs over all methods on them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import contract
from cells import Cell


class Contract:
    """One model is asked whatever can be asked of it, as it is built, trained, saved and merged."""

    families: ClassVar[tuple[str, ...]]

    def test_promises(self, cell: Cell, tmp_path: Path) -> None:
        model = cell.build()
        contract.parameters_are_those_of_the_paper(cell, model)
        contract.a_seed_gives_one_model(cell, model, same=cell.build(), other=cell.build(seed=7))
        contract.an_untrained_adapter_changes_no_logit(cell, model)
        contract.logits_belong_to_the_windows_own_tokens(cell, model)
        contract.labels_point_at_the_gold_tokens(cell, model)
        contract.the_longest_window_fits(cell, model)
        contract.what_should_learn_learns_and_the_rest_stays(cell, model)
        contract.segment_ids_reach_the_encoder(cell, model)
        contract.padding_changes_no_logit(cell, model)
        contract.loading_gives_the_same_logits(cell, model, tmp_path)
        contract.rounded_weights_change_no_logit(cell, model)
        contract.merging_changes_no_logit(cell, model)

    def test_costs(self, costly_cell: Cell, tmp_path: Path) -> None:
        contract.costs_are_those_of_the_saved_model(costly_cell, costly_cell.build(), tmp_path)

    def test_overfits(self, long_cell: Cell) -> None:
        contract.a_few_steps_overfit_four_examples(long_cell)

    def test_other_arithmetic(self, long_cell: Cell) -> None:
        model = long_cell.build()
        contract.train(model, long_cell, steps=4)
        contract.bf16_agrees_with_fp32(long_cell, model)
        contract.checkpointing_changes_no_gradient(long_cell, model)
