"""Plots of runs and of studies, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spantune.reports.figures.f1_against_cost import COSTS, f1_against
from spantune.reports.figures.learning_curves import learning_curves, loss_curve, loss_curves
from spantune.reports.figures.style import save
from spantune.reports.run_groups import group
from spantune.runs import History, RunFolder, RunRecord


def run_plots(folder: RunFolder) -> list[Path]:
    """Draw the run's own curves into its `plots` folder and return the files; [] before the first logged step."""
    record, rows = RunRecord.read(folder.path), History(folder.history).read()
    drawn = [("loss", loss_curve(record, rows)), ("selection_f1", learning_curves([(record, rows)]))]
    return [path for name, figure in drawn if figure for path in save(figure, folder.plots / name)]


def comparison_plots(folders: Sequence[RunFolder], target: Path) -> list[Path]:
    """Draw all runs together into the folder `target` and return the files; what has no data is left out."""
    runs = [(RunRecord.read(folder.path), History(folder.history).read()) for folder in folders]
    groups = group([record for record, _ in runs])
    drawn = [(f"f1_against_{cost.name}", f1_against(groups, cost)) for cost in COSTS]
    drawn += [("loss_curves", loss_curves(runs)), ("learning_curves", learning_curves(runs))]
    return [path for name, figure in drawn if figure for path in save(figure, target / name)]
