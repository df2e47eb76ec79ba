"""Put finished runs into the package's zoo: `python zoo/build.py --data REPORTED_SET RUN ...`.

Of each run: the adapter, in half precision where that changes no answer on the reported set; its record, without paths
of the machine that it was made on; and a model card. A run of a method that is there already takes its place.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spantune.answering import Predictor
from spantune.data import Corpus, load_corpus
from spantune.errors import RunError
from spantune.reports.reproduce import typed
from spantune.runs import RunFolder, RunRecord, without_paths
from spantune.runs.manifest import ADAPTER_CONFIG, read_manifest, write_manifest
from spantune.scoring.scores import score_runs
from spantune.scoring.statistics import compare
from spantune.zoo import FOLDER

LICENCES = {
    "squadshifts": "SQuADShifts (Miller et al. 2020, arXiv:2004.14444), CC BY 4.0",
    "xquad": "XQuAD English (Artetxe et al. 2020, arXiv:1910.11856), CC BY-SA 4.0",
    "sample": "the sample corpus of spantune, MIT",
}
"""Of the sets by the beginning of their file's name."""
MOST_BYTES = 8_000_000
"""That all adapters together may have."""


@dataclass(frozen=True)
class Packed:
    """An adapter in the zoo.

    Attributes:
        half: whether its weights are in half precision. changed: answers that half precision would have changed.
    """

    name: str
    bytes: int
    half: bool
    changed: int


def pack(run: Path, corpus: Corpus, shelf: Path = FOLDER) -> Packed:
    """Put one run into the zoo, under its method's name.

    Raises:
        RunError: it has not finished, or its method changes every weight.
    """
    record = RunRecord.read(run)
    if record.status != "finished" or not (RunFolder(run).adapter / "adapter_model.safetensors").is_file():
        raise RunError(
            "only the adapter of a finished run fits into the zoo",
            where=str(run),
            expected="a finished run whose method has an adapter of its own",
            found=f"{record.label}, {record.status}",
        )
    answers = _answers(run, corpus)
    target = shelf / record.method
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / record.method
        shutil.copytree(RunFolder(run).adapter, made / "adapter", ignore=shutil.ignore_patterns("README.md"))
        _halve(made / "adapter" / "adapter_model.safetensors")
        write_manifest(made / "adapter", read_manifest(made / "adapter"))
        halved = _answers(made, corpus)
        changed = sum(answers[one] != halved[one] for one in answers)
        if changed:
            shutil.copy(RunFolder(run).adapter / "adapter_model.safetensors", made / "adapter")
        size = (made / "adapter" / "adapter_model.safetensors").stat().st_size
        command = tuple(typed(record.command) or record.command)
        write_manifest(made / "adapter", read_manifest(made / "adapter"))  # with the digests of what ships
        kept = replace(record, adapter_bytes=size, command=command, files={})  # the answers do not ship
        public = RunRecord.from_json(without_paths(kept.to_json()))
        public.write(made)
        peft = (made / "adapter" / ADAPTER_CONFIG).is_file()
        reported = json.loads(RunFolder(run).predictions.read_text(encoding="utf-8"))
        (made / "README.md").write_text(card(public, corpus, reported, peft=peft), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
    return Packed(record.method, size, not changed, changed)


def _answers(run: Path, corpus: Corpus) -> dict[str, str]:
    return Predictor.load(run).answer(corpus).texts


def _halve(path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    state = {name: weight.to(torch.float16) for name, weight in load_file(path).items()}
    save_file(state, path, metadata={"format": "pt"})


def card(record: RunRecord, corpus: Corpus, answers: Mapping[str, str], *, peft: bool) -> str:
    """The model card: what it is, what it was trained on and how well it does; `peft`: whether PEFT can load it."""
    (standing,) = compare(score_runs(corpus.examples, {record.method: [answers]})).standings
    sets = {name: _set_line(data.sources, data.examples) for name, data in record.data.items()}
    low, high = standing.f1.interval
    options = ", ".join(f"{key} {value}" for key, value in record.options.items()) or "none"
    chosen = (
        f"the best of its checkpoints on {sets['selection']}, contexts carved from the training data"
        if "selection" in sets
        else "the last weights; settings were chosen on a part of the training data (docs/results.md)"
    )
    form = "in PEFT's format" if peft else "in spantune's own format (PEFT has no such method)"
    return f"""# zoo/{record.method}

{record.label} on `{record.model}` for extractive question answering in English, {form} with the span head.

| | |
| --- | --- |
| Trained on | {sets["train"]} |
{_origins(record)}| Chosen | {chosen} |
| Reported on | {sets["reported"]} |
| EM | {standing.em.mean:.1f} (95% interval {standing.em.interval[0]:.1f} to {standing.em.interval[1]:.1f}) |
| F1 | {standing.f1.mean:.1f} ({low:.1f} to {high:.1f}) |
| Trainable parameters | {record.parameters.trainable if record.parameters else 0:,} |
| Size | {(record.adapter_bytes or 0) / 1e6:.2f} MB |
{_training(record)}| Options | {options} |

```sh
spantune ask zoo/{record.method} --question "Who built it?" --context "Ada built the mill in 1832."
```

Made by `{shlex.join(record.command)}`.

**Limits.** An encoder of 22 million parameters, trained on questions that its contexts answer: it always answers, also
where there is no answer. English prose; other languages, tables and code were not tried. One seed.
"""


def _origins(record: RunRecord) -> str:
    """The lines of the runs that it learned from; none without them."""
    taught, begun = (", ".join(map(_run, names)) for names in (record.teachers, record.started_from))
    return "".join(
        f"| {what} | {names}: {how} (docs/methods.md) |\n"
        for what, names, how in (
            ("Taught by", taught, "what they say of the same questions"),
            ("Started from", begun, "where they stood"),
        )
        if names
    )


def _run(path: str) -> str:
    """A run's name with that of its study, if it has one."""
    return "/".join(Path(path).parts[-2:])


def _training(record: RunRecord) -> str:
    """The lines of the training; none where nothing was trained."""
    if not record.steps:
        return ""
    config, cores = record.config, record.hardware.get("cores")
    hours = (record.timings.train_seconds or 0.0) / 3600
    return f"""| Training | {hours:.1f} h on {cores} core{"s" * (cores != 1)} of {record.hardware.get("cpu")} |
| Learning rate, epochs, batch | {config["learning_rate"]:g}, {config["epochs"]:g}, {config["batch_size"]} |
"""


def _set_line(sources: tuple[str, ...], examples: int) -> str:
    names = [Path(one).stem for one in sources]
    known = dict.fromkeys(text for one in names for start, text in LICENCES.items() if one.startswith(start))
    return f"{examples:,} questions of {', '.join(names)} ({'; '.join(known) or 'licence unknown'})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", required=True, help="the reported set of the runs")
    given = parser.parse_args()
    corpus = load_corpus(given.data, split="validation")
    packed = [pack(run, corpus) for run in given.runs]
    print(json.dumps([vars(one) for one in packed], indent=2))
    total = sum(path.stat().st_size for path in FOLDER.glob("*/adapter/*.safetensors"))
    print(f"all adapters of the zoo: {total / 1e6:.2f} MB of {MOST_BYTES / 1e6:.0f} MB")
    if total > MOST_BYTES:
        raise SystemExit("too large: leave one out")


if __name__ == "__main__":
    main()
