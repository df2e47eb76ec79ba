"""Memory: the most that a process holds, training and evaluating, on once, ten and a hundred times the examples.

Each size runs in a process of its own that ends with it: `python -m benchmarks.memory TASK` prints what it held. What
grows with the data should be the data: the table's ratios leave out the data file's own bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks import ours, usual_recipe
from benchmarks.material import encoder, examples_of, longest_of, repeated, write_squad
from benchmarks.plan import Plan
from benchmarks.results import Bar, Figure, Part
from spantune.config import EvaluateConfig, WindowConfig
from spantune.data import Example
from spantune.runs.environment import peak_memory_bytes

ROOT = Path(__file__).parents[1]
EVALUATION_BAR, ADAPTER_BAR = 1.2, 10.0
_SERVED = 6
OURS, USUAL = "spantune", "usual recipe"
Stage = Literal["train", "evaluate", "serve"]


@dataclass(frozen=True)
class Task:
    """What one process does.

    Attributes:
        side: `spantune` or `usual recipe`. stage: what it does with the data.
        data: SQuAD JSON. factor: how often the examples stand in it. folder: scratch.
        steps: after which a training ends. runs: saved models that evaluate or serve.
    """

    side: str
    stage: Stage
    plan: Plan
    folder: str
    data: str = ""
    factor: int = 1
    steps: int = 0
    runs: tuple[str, ...] = ()

    @property
    def data_bytes(self) -> int:
        return Path(self.data).stat().st_size

    @property
    def name(self) -> str:
        return f"{self.side}, {self.stage}, {self.factor}×"


@dataclass(frozen=True)
class Held:
    """Bytes: the process' peak; for `serve` what it holds after the first and after the last model."""

    peak: int
    first: int = 0
    last: int = 0


Spawn = Callable[[Task], Held]


def measure(plan: Plan, spawn: Spawn | None = None) -> Part:
    """All sizes and both sides; two processes at a time, since none of them is timed."""
    spawn = spawn or in_a_process
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plan = replace(plan, model=encoder(plan.model, folder))
        tasks = [*_growing_tasks(plan, folder), _serving_task(plan, folder)]
        with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            held = dict(zip([task.name for task in tasks], pool.map(spawn, tasks), strict=True))
        serving = tasks.pop()
        figures = [*_growth_figures(plan, tasks, held), *_serving_figure(held[serving.name], len(serving.runs))]
        sizes = {task.name: task.data_bytes for task in tasks}
    return Part("memory", tuple(figures), details={"held": {k: asdict(v) for k, v in held.items()}, "data": sizes})


def _growing_tasks(plan: Plan, folder: Path) -> list[Task]:
    """Every stage at every size, on each side that has the size."""
    run = str(ours.save_run(plan, "lora", folder / "run"))
    bases: dict[Stage, Sequence[Example]] = {
        "evaluate": examples_of(plan.data, plan.memory_eval_examples, split="validation"),
        "train": longest_of(plan.data, plan.memory_train_examples),
    }
    sizes = [(side, factor) for side, factors in _factors(plan).items() for factor in factors]
    tasks = []
    for stage, base in bases.items():
        for side, factor in sizes:
            own = folder / f"{side.split()[0]}-{stage}-{factor}"
            data = write_squad(repeated(base, len(base) * factor), own.with_suffix(".json"))
            tasks.append(Task(side, stage, plan, str(own), str(data), factor, plan.memory_train_steps, (run,)))
    return tasks


def _factors(plan: Plan) -> dict[str, tuple[int, ...]]:
    return {OURS: plan.memory_factors, USUAL: plan.memory_factors_usual}


def _serving_task(plan: Plan, folder: Path) -> Task:
    runs = tuple(str(ours.save_run(plan, "lora", folder / f"served-{seed}", seed=seed)) for seed in range(_SERVED))
    return Task(OURS, "serve", plan, str(folder / "serve"), runs=runs)


def _growth_figures(plan: Plan, tasks: Sequence[Task], held: Mapping[str, Held]) -> list[Figure]:
    """Each size against the first, and at the largest size that both sides have, one side against the other."""
    beyond: dict[tuple[str, str, int], int] = {
        (task.side, task.stage, task.factor): held[task.name].peak - task.data_bytes for task in tasks
    }
    figures = []
    for stage, doing in (("evaluate", "evaluating"), ("train", "training")):
        for side, factors in _factors(plan).items():
            base = beyond[side, stage, factors[0]]
            for factor in factors[1:]:
                judged = side == OURS and stage == "evaluate" and factor == factors[-1]
                more = beyond[side, stage, factor]
                what = f"{side}, {doing} {factor}× the examples, beyond the data"
                bar = Bar(EVALUATION_BAR, "at most") if judged else None
                figures.append(Figure(what, more / base, bar=bar, note=_megabytes(more, base)))
        shared = max({*plan.memory_factors} & {*plan.memory_factors_usual})
        both = [beyond[side, stage, shared] for side in (USUAL, OURS)]
        what = f"usual recipe against spantune, {doing} {shared}× the examples"
        figures.append(Figure(what, both[0] / both[1], note=_megabytes(*both)))
    return figures


def _megabytes(one: float, other: float) -> str:
    return f"{one / 1e6:.0f} MB against {other / 1e6:.0f} MB"


def _serving_figure(held: Held, models: int) -> list[Figure]:
    """None where the system does not tell what a process holds."""
    if not held.first:
        return []
    more = (held.last - held.first) / (models - 1) / 1e6
    note = f"LoRA, {models} and 1: {_megabytes(held.last, held.first)}"
    return [Figure("each further adapter in a serving process", more, "MB", bar=Bar(ADAPTER_BAR, "at most"), note=note)]


# In the process


def in_a_process(task: Task) -> Held:
    """Run a task in a process of its own; RuntimeError with its last words where it fails."""
    # One thread each: two processes with two threads on two cores would wait for each other.
    environment = {**os.environ, "HF_DATASETS_CACHE": f"{task.folder}-cache", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(asdict(task))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{task.name}: {done.stderr.strip()[-2000:]}")
    return Held(**json.loads(done.stdout.strip().splitlines()[-1]))


def run(task: Task) -> Held:
    """Do a task here and say what this process held."""
    first = last = 0
    if task.stage == "serve":
        first, last = _serve(task)
    elif task.side == OURS:
        (_train if task.stage == "train" else _evaluate)(task)
    else:
        _usual(task)
    return Held(peak_memory_bytes() or 0, first, last)


def _train(task: Task) -> None:
    from spantune.training import train

    count = task.plan.memory_train_examples * task.factor
    epochs = task.steps * task.plan.batch_size / count
    changes = {"data": (task.data,), "selection_fraction": 0.0, "epochs": epochs, "output": task.folder}
    train(ours.config_of(task.plan, "lora", **changes))


def _evaluate(task: Task) -> None:
    from spantune.scoring.score_run import evaluate_run

    # Batches that a few examples fill: otherwise more examples would make larger ones.
    settings = EvaluateConfig(
        runs=task.runs, data=(task.data,), device=task.plan.device, eval_batch_size=usual_recipe.EVAL_BATCH_SIZE
    )
    evaluate_run(task.runs[0], settings)


def _usual(task: Task) -> None:
    from spantune.data import load_corpus
    from spantune.modeling import load_tokenizer

    plan, tokenizer = task.plan, load_tokenizer(task.plan.model)
    examples = load_corpus(task.data).examples
    model = usual_recipe.load_model(plan.model, "lora")
    features = None
    if task.stage == "train":
        features = usual_recipe.training_features(examples, tokenizer, plan.windows)
    trainer = usual_recipe.trainer(
        model, features, Path(task.folder), batch_size=plan.batch_size, device=plan.device, max_steps=task.steps
    )
    if task.stage == "train":
        trainer.train()
    else:
        usual_recipe.evaluate(trainer, tokenizer, examples, plan.windows)


def _serve(task: Task) -> tuple[int, int]:
    """Resident bytes with one model, and with all of them, each after it has answered."""
    example = examples_of(task.plan.data, 1)[0]
    held = []
    for runs in (task.runs[:1], task.runs):
        one, _ = ours.answering(task.plan, [Path(run) for run in runs])
        one(example.question, example.context)
        held.append(_resident_bytes())
        del one, _
    return held[0], held[1]


def _resident_bytes() -> int:
    """What this process holds now; 0 where that is not known (no /proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _task(text: str) -> Task:
    """What `json.dumps(asdict(task))` was made of."""
    content: dict[str, Any] = json.loads(text)
    plan: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in content["plan"].items()}
    lengths = WindowConfig(**plan.pop("windows"))
    return Task(**{**content, "plan": Plan(windows=lengths, **plan), "runs": tuple(content["runs"])})


if __name__ == "__main__":
    ours.quiet()
    print(json.dumps(asdict(run(_task(sys.argv[1])))))
