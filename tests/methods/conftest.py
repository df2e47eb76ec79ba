"""The cells of the contract as fixtures, and which of them a test class runs over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # cells.py, contract.py and suite.py
pytest.register_assert_rewrite("contract", "suite")

from cells import (  # noqa: E402
    REFUSED,
    Cell,
    Encoder,
    costs_in_short,
    in_short,
    long_in_short,
    make_encoder_case,
    product,
)

from spantune.data import Corpus  # noqa: E402

# What a test class runs over, and of it what is in `make test`.
SHORT = {"cell": in_short, "long_cell": long_in_short, "costly_cell": costs_in_short}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A class with `families` runs over their supported cells; `make test` leaves some out."""
    families = getattr(metafunc.cls, "families", None)
    # A thousand cells that are only deselected again cost each worker a second.
    all_of_them = "not exhaustive" not in metafunc.config.option.markexpr
    for fixture in SHORT.keys() & set(metafunc.fixturenames) if families else ():
        metafunc.parametrize(
            fixture,
            [
                pytest.param(
                    (name, family),
                    id=f"{name}-{family}",
                    marks=[] if SHORT[fixture](name, family) else [pytest.mark.exhaustive],
                )
                for name, family in product(*families)
                if (name, family) not in REFUSED and (all_of_them or SHORT[fixture](name, family))
            ],
            indirect=True,
        )


@pytest.fixture(scope="session")
def encoder_of(tiny_of: Callable[[str], Path], tiny_corpus: Corpus) -> Callable[[str], Encoder]:
    """The random encoder of a family with the tiny corpus' windows."""
    return cache(lambda family: make_encoder_case(family, tiny_of(family), tiny_corpus))


@pytest.fixture(scope="session")
def cell_of(encoder_of: Callable[[str], Encoder]) -> Callable[[str, str], Cell]:
    """Makes the cell of a method, or variant of one, on a family."""
    return lambda name, family: Cell(name, encoder_of(family))


@pytest.fixture
def cell(request: pytest.FixtureRequest, cell_of: Callable[[str, str], Cell]) -> Cell:
    """The cell of the parameter (name, family)."""
    return cell_of(*request.param)


@pytest.fixture
def long_cell(request: pytest.FixtureRequest, cell_of: Callable[[str, str], Cell]) -> Cell:
    """The same, for the promises that take longer."""
    return cell_of(*request.param)


@pytest.fixture
def costly_cell(request: pytest.FixtureRequest, cell_of: Callable[[str, str], Cell]) -> Cell:
    """The same, for the costs."""
    return cell_of(*request.param)
