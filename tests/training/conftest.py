import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest
from tiny import one_thread  # noqa: F401


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a tiny run's time."""
    monkeypatch.setattr("spantune.training.run.run_plots", lambda folder: [])
