"""The search of each arm's sweep, as the configuration wants it."""

from __future__ import annotations

from collections.abc import Sequence

from spantune.config import CompareConfig
from spantune.studies.grid_search import GridSearch, Search
from spantune.studies.plan import Arm, sweep_run
from spantune.studies.run_state import Facts


def searches(config: CompareConfig, arms: Sequence[Arm], facts: Facts) -> dict[str, Search]:
    """By arm's folder; arms without a sweep have none."""
    return {arm.folder: _search(config, arm, facts) for arm in arms if arm.parameters}


def _search(config: CompareConfig, arm: Arm, facts: Facts) -> Search:
    base = sweep_run(config, arm, "any", {})
    if config.search == "optuna":
        from spantune.studies.optuna_search import OptunaSearch

        return OptunaSearch(config, arm, base, facts(base))
    return GridSearch(
        arm.parameters,
        {one.key: one.default(base) for one in arm.parameters},
        extend=config.sweep_extend,
        problem=lambda parameter, value: parameter.problem(base, value),
    )
