"""The generated parts of docs/results.md, of the report and of the README's table: from the published studies alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "results"))

from methods_page import table  # noqa: E402
from published import published  # noqa: E402

from spantune.reports import reproduce  # noqa: E402
from spantune.reports.figures.style import svg  # noqa: E402
from spantune.reports.run_groups import Group  # noqa: E402
from spantune.reports.tables import number_format  # noqa: E402
from spantune.reports.tables.detail_tables import errors, slices_grids, speed_grid  # noqa: E402
from spantune.reports.write_report import Report  # noqa: E402
from spantune.scoring.disagreements import disagreements  # noqa: E402
from spantune.scoring.error_kinds import KINDS  # noqa: E402

STUDIES = ROOT / "results"
MAIN = "squadshifts"
TAUGHT, AVERAGED, CONTINUED = "squadshifts-taught", "squadshifts-averaged", "squadshifts-continued"
"""Further studies: teachers, the mean of two runs (this version no longer makes it), and a run that is trained on."""
HELD_OUT, EPOCHS = "held-out", "squadshifts-epochs"
SETTINGS, SCHEDULE = "squadshifts-settings", "squadshifts-schedule"
"""And what another domain costs, and settings beside the rate."""
_NOT_YET = "Not finished yet."
IMAGES = ROOT / "docs" / "images" / "results"
FIGURES = ("intervals", "f1_against_parameters", "sweep", "loss_curves", "slices", "errors")
_TOLD = 10


@cache
def study(name: str = MAIN) -> Report:
    """A published study."""
    return published(STUDIES / name)


def finding() -> str:
    """What the statistics allow to say."""
    found = study().finding
    return f"**{found.sentence}** {' '.join(found.more)}".strip()


def further(name: str) -> str:
    """The table of another study, and what made it; a line where it is not published yet."""
    if not (STUDIES / name).is_dir():
        return _NOT_YET
    return f"{scores_table(name)}\n\n{_commands(study(name))}"


def held_out(name: str = HELD_OUT) -> str:
    """`further`, and F1 on each kind of question: as in training, of the domain that was left out, of further sets."""
    if not (STUDIES / name).is_dir():
        return _NOT_YET
    groups = [one for one in study(name).table.groups if one.finished]
    sets = ("selection", "reported", *groups[0].finished[0].further)
    rows = []
    for one in groups:
        f1 = [score.mean if (score := one.score(part, "f1")) else None for part in sets]
        lost = f"{f1[1] - f1[0]:+.1f}" if f1[0] is not None and f1[1] is not None else number_format.NOTHING
        cells = [number_format.NOTHING if value is None else f"{value:.1f}" for value in f1]
        rows.append((one.label, *cells[:2], lost.replace("-", "−"), *cells[2:]))
    title = ("Method", "As in training", "The other domain", "Difference", *(Path(part).stem for part in sets[2:]))
    return f"F1 by kind of question:\n\n{table(title, rows, right=title[1:])}\n\n{further(name)}"


def _commands(report: Report) -> str:
    """What makes a study again."""
    return "```sh\n" + "\n".join(report.commands) + "\n```"


def scores_table(name: str = MAIN) -> str:
    """Scores and costs of every method, by rank."""
    report = study(name)
    title = ("Method", "EM", "F1", "95% of F1", "Tied", "Trainable", "of the model", "Adapter", "Training", "Latency")
    rows = [_row(report, one) for one in report.table.groups if one.finished]
    facts = dict(reproduce.facts(report.records))
    cautions = [line for line in report.table.header if line.startswith("CAUTION")]
    told = " ".join([f"Trained on {facts['Machine']} ({facts['Device']}).", *cautions])
    return f"{table(title, rows, right=title[1:])}\n\n{told}"


def _row(report: Report, one: Group) -> tuple[str, ...]:
    standing = report.table.standings[one.label]
    low, high = standing.f1.interval
    seconds, latency = one.timing("train_seconds"), one.latency
    return (
        one.label,
        f"{standing.em.mean:.1f}",
        f"**{standing.f1.mean:.1f}**",
        f"{low:.1f}–{high:.1f}",
        standing.letters,
        number_format.count(one.parameters("trainable")),
        number_format.percent(one.parameters("share")),
        number_format.size(one.largest("adapter_bytes") or 0),
        number_format.duration(seconds.mean) if seconds else number_format.NOTHING,
        f"{latency:.3g} ms" if latency else number_format.NOTHING,
    )


def sweeps_table() -> str:
    """What was tried for each method, the chosen value in bold, and the registry's default."""
    from spantune.methods import get

    rows = []
    for one in study().sweeps:
        (name,) = one.parameters
        tried = sorted(one.trials, key=lambda trial: trial.values[name])
        cells = (_tried(trial.values[name], trial.f1, one.is_chosen(trial)) for trial in tried)
        rows.append((one.label, "; ".join(cells), f"{get(one.method).learning_rate:g}", one.note or ""))
    return table(("Method", "Learning rate: F1 on the selection split", "Default", "Note"), rows)


def settings(name: str = SETTINGS) -> str:
    """F1 by two settings that were chosen together, and the mean of each value; a line where it is not known yet."""
    if not (STUDIES / name).is_dir():
        return _NOT_YET
    (one,) = study(name).sweeps
    first, second = one.parameters
    f1 = {(trial.values[first], trial.values[second]): trial.f1 for trial in one.trials}
    rows, columns = (tuple(dict.fromkeys(values)) for values in zip(*f1, strict=True))
    chosen = one.chosen and (one.chosen[first], one.chosen[second])
    lines = [
        (
            f"{first} {row}",
            *(_bold(_score(f1[row, column]), (row, column) == chosen) for column in columns),
            _mean(f1[row, column] for column in columns),
        )
        for row in rows
    ]
    below = ("mean", *(_mean(f1[row, column] for row in rows) for column in columns), "")
    title = (one.label, *(f"{second} {column}" for column in columns), "mean")
    return f"{table(title, [*lines, below], right=title[1:])}\n\n{_commands(study(name))}"


def _score(f1: float | None) -> str:
    return "failed" if f1 is None else f"{f1:.1f}"


def _mean(scores: Iterable[float | None]) -> str:
    known = [one for one in scores if one is not None]
    return f"{fmean(known):.1f}" if known else number_format.NOTHING


def _tried(value: float, f1: float | None, chosen: bool) -> str:
    return _bold(f"{value:g}: {_score(f1)}", chosen)


def _bold(text: str, chosen: bool) -> str:
    return f"**{text}**" if chosen else text


def speed() -> str:
    """How fast the trained models answer."""
    grid = speed_grid(study().table.groups)
    return grid.to_markdown().strip() if grid else "Not measured yet."


def slices() -> str:
    """F1 by kind of question."""
    report = study()
    assert report.evidence is not None
    grids = slices_grids(report.evidence, report.compared)
    return "\n\n".join(f"**{one.title.capitalize()}.** {one.to_markdown().strip()}" for one in grids)


def kinds() -> str:
    """What wrong answers are."""
    report = study()
    assert report.evidence is not None
    return errors(report.evidence, report.table.groups).to_markdown().strip()


def telling() -> str:
    """The questions on which the methods differ most; by their ids, for their texts aren't ours to publish."""
    report = study()
    evidence = report.evidence
    assert evidence is not None
    scores, names = evidence.scores, tuple(KINDS)
    from spantune.scoring.dimensions import DIMENSIONS

    shown = [at for at, one in enumerate(DIMENSIONS) if one.name in ("question word", "answer type", "answer length")]
    rows = []
    for one in disagreements(scores, _TOLD):
        slices = evidence.slice_of[one.question]
        kind = [DIMENSIONS[at].slices[slices[at]] for at in shown]
        wrong = [
            f"{method} ({names[evidence.kinds[scores.methods.index(method)][0, one.question]]})" for method in one.wrong
        ]
        rows.append((f"`{one.id}`", ", ".join(kind), ", ".join(one.right) or "none", ", ".join(wrong)))
    return table(("Question", "Asks by; answer's type; its words", "Right", "Wrong, and how"), rows)


def again() -> str:
    """Commands, data and machine."""
    report = study()
    data = reproduce.data_grid(report.records).to_markdown().strip()
    lines = [f"- {name}: {value}" for name, value in reproduce.facts(report.records)]
    return "\n\n".join([_commands(report), "\n".join(lines), data])


def figures() -> list[Path]:
    """Draw the figures anew; where they were written."""
    report, made = study(), []
    for name in FIGURES:
        path = IMAGES / f"{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg(report.figure(name), name), encoding="utf-8")
        made.append(path)
    return made


PARTS: Mapping[str, Callable[[], str]] = {
    "results-finding": finding,
    "results-table": scores_table,
    "results-sweeps": sweeps_table,
    "results-speed": speed,
    "results-slices": slices,
    "results-kinds": kinds,
    "results-telling": telling,
    "results-again": again,
    "results-settings": settings,
    "results-schedule": lambda: settings(SCHEDULE),
    "results-epochs": lambda: further(EPOCHS),
    "results-taught": lambda: further(TAUGHT),
    "results-averaged": lambda: scores_table(AVERAGED),
    "results-continued": lambda: further(CONTINUED),
    "results-held-out": held_out,
}
