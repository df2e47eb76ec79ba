"""The search of each arm's sweep, as the configuration wants it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from spantune.config import BOOKKEEPING, CompareConfig
from spantune.studies.grid_search import GridSearch, Search
from spantune.studies.parameters import Values
from spantune.studies.plan import Arm, sweep_run
from spantune.studies.run_state import Facts
from spantune.training.code_version import code_version
from spantune.training.run_settings import resolve


def searches(config: CompareConfig, arms: Sequence[Arm], facts: Facts) -> dict[str, Search]:
    """By arm's folder; arms without a sweep have none."""
    return {arm.folder: _search(config, arm, facts) for arm in arms if arm.parameters}


def _search(config: CompareConfig, arm: Arm, facts: Facts) -> Search:
    base = sweep_run(config, arm, "any", {})
    default = {one.key: one.default(base) for one in arm.parameters}
    if config.search == "optuna":
        return _optuna(config, arm, default, facts)
    return GridSearch(
        arm.parameters,
        default,
        extend=config.sweep_extend,
        problem=lambda parameter, value: parameter.problem(base, value),
    )


def _optuna(config: CompareConfig, arm: Arm, default: Values, facts: Facts) -> Search:
    from spantune.studies.optuna_search import OptunaSearch

    base = resolve(sweep_run(config, arm, "any", {}))
    settings = {key: value for key, value in base.as_dict().items() if key not in BOOKKEEPING}
    known = facts(base)
    spaces = [{**asdict(one), "kind": str(one.kind)} for one in arm.parameters]
    shared = [settings, spaces, known and known.fingerprints, code_version(arm.method)]
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()
    folder = Path(config.output).resolve()
    return OptunaSearch(
        arm.parameters,
        default,
        trials=config.trials,
        storage=config.storage or f"sqlite:///{(folder / 'optuna.db').as_posix()}",
        name=f"spantune {arm.title} {digest[:12]}",  # only studies with the same settings, data and code share it
        worker=str(folder),
        shared=config.storage is not None,
        seed=config.seeds[0],
    )
