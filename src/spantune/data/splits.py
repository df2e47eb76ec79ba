"""Which examples train, which choose the checkpoint, and which are reported."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from spantune.config import DataConfig, Rows
from spantune.data.corpus import Corpus, has_validation, load_corpus, reading_notes
from spantune.data.example import Example
from spantune.data.mixing import context_keys, distinct, limited, shuffled, split_by_context
from spantune.data.readers.hf_datasets import NoSplit
from spantune.data.source import parse_source
from spantune.errors import DataError

_REPORTED_SEED = 0  # runs with different seeds must be scored on the same questions


@dataclass(frozen=True)
class Splits:
    """The examples of a run.

    Args:
        train: what the model learns, in seeded order.
        selection: contexts held out from the training sources to choose the best checkpoint; may be empty.
        reported: touched once, at the end, the same for every seed; None if no source has a validation split and
            none was given, or where it is not to be scored.
        repairs: with `repair`, how many defects of each kind were mended or cost an example; empty otherwise.
        shared_contexts: contexts of `reported` that are in `train` or `selection` too.
        counts: examples at every step, so that none is lost uncounted:
            `train mixed = train + selection + train over the limit`, and likewise for `reported`.
    """

    train: Corpus
    selection: Corpus
    reported: Corpus | None
    repairs: Mapping[str, int] = field(default_factory=dict)
    shared_contexts: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What is worth knowing of how the sources were read."""


def load_splits(config: DataConfig, seed: int) -> Splits:
    """Read, mix, limit and split the data of a run.

    Raises:
        DataError: a source cannot be read or is broken, there are unanswerable questions in a run without `squad_v2`,
            or there is one context only and it cannot be split.
    """
    load = partial(load_corpus, columns=config.columns, rows=config.rows, seed=seed, repair=config.repair)
    sources = [load(source) for source in config.data]
    held_out = _reported_sources(config)
    for corpus in (*sources, *held_out):
        if not config.squad_v2:
            refuse_unanswerable(corpus)
    gathered = [example for corpus in sources for example in corpus.examples]
    mixed = shuffled(distinct(gathered), seed)
    kept = mixed[: config.max_train_examples]
    train, selection = split_by_context(kept, config.selection_fraction, seed)
    if config.selection_fraction > 0 and not selection:
        raise DataError(
            "one context cannot be split into training and selection",
            where=_name(config.data),
            expected="two contexts or more",
            found=f"{len(kept)} examples on one context",
            fix="--selection-fraction 0, or more data",
        )
    reported = _gathered(held_out, config.max_eval_examples, _REPORTED_SEED) if held_out else None
    shared = shared_contexts(kept, reported.examples) if reported else 0
    if shared:
        warnings.warn(
            f"{shared} contexts of the reported set ({_name([corpus.name for corpus in held_out])}) are in "
            "the training data too: the reported score is too good. `spantune doctor` lists them.",
            stacklevel=2,
        )
    return Splits(
        train=Corpus.of(train, _name(config.data)),
        selection=Corpus.of(selection, f"{_name(config.data)} (selection)"),
        reported=reported,
        repairs=_repairs(sources, held_out),
        shared_contexts=shared,
        notes=tuple(note for corpus in (*sources, *held_out) for note in reading_notes(corpus)),
        counts={
            **{f"train {name}": number for name, number in _summed(sources).items()},
            "train ids renamed": len({example.id for example in mixed} - {example.id for example in gathered}),
            "train mixed": len(mixed),
            "train over the limit": len(mixed) - len(kept),
            "train": len(train),
            "selection": len(selection),
            **{f"reported {name}": number for name, number in (reported.counts if reported else {}).items()},
            "reported": len(reported.examples) if reported else 0,
        },
    )


def refuse_unanswerable(corpus: Corpus, fix: str = "--squad-v2 lets the model answer nothing") -> None:
    """Raise DataError if the corpus has questions without an answer."""
    without = [example for example in corpus.examples if not example.answerable]
    if without:
        raise DataError(
            f"{len(without)} of {len(corpus.examples)} questions have no answer, and this is a SQuAD v1.1 run",
            where=f"{corpus.name}, first id {without[0].id}",
            expected="an answer to every question",
            found=f"no answer to {without[0].question!r}",
            fix=fix,
        )


def shared_contexts(examples: Sequence[Example], other: Sequence[Example]) -> int:
    """How many contexts are in both (white space aside)."""
    return len(set(context_keys(examples).values()) & set(context_keys(other).values()))


def load_evaluation(
    sources: Sequence[str],
    *,
    columns: Sequence[str] = (),
    rows: Rows = "joined",
    seed: int = 0,
    limit: int | None = None,
    repair: bool | None = None,
) -> Corpus:
    """The sources' validation splits (a file has only itself) as one corpus: what `load_splits` reports on.

    Args:
        limit: at most so many examples, chosen by the seed, in their order.
        repair: as `load_corpus` takes it.

    Raises:
        DataError: a source cannot be read, or is broken and is not to be repaired.
    """
    load = partial(load_corpus, split="validation", columns=columns, rows=rows, seed=seed, repair=repair)
    held_out = [load(source) for source in sources]
    return _gathered(held_out, limit, seed)


def load_reported(config: DataConfig) -> Corpus | None:
    """The reported set of a run alone, as `load_splits` makes it; None if there is none.

    Raises:
        DataError: a source cannot be read or is broken.
    """
    held_out = _reported_sources(config)
    return _gathered(held_out, config.max_eval_examples, _REPORTED_SEED) if held_out else None


def _gathered(held_out: Sequence[Corpus], limit: int | None, seed: int) -> Corpus:
    gathered = distinct(example for corpus in held_out for example in corpus.examples)
    kept = limited(gathered, limit, seed)
    counts = {**_summed(held_out), "mixed": len(gathered), "over the limit": len(gathered) - len(kept)}
    defects = [defect for corpus in held_out for defect in corpus.defects]
    return Corpus.of(kept, _name([corpus.name for corpus in held_out]), defects, counts)


def _reported_sources(config: DataConfig) -> list[Corpus]:
    """The sources named by `eval_data`, else the validation splits that the training sources bring along."""
    if not config.score_reported:
        return []
    load = partial(
        load_corpus,
        split="validation",
        columns=config.columns,
        rows=config.rows,
        seed=_REPORTED_SEED,
        repair=config.repair,
    )
    if config.eval_data:
        return [load(source) for source in config.eval_data]
    corpora: list[Corpus] = []
    split = [source for source in config.data if has_validation(source) is not False]
    for address in dict.fromkeys(parse_source(source).address for source in split):
        try:
            corpora.append(load(address))
        except NoSplit:
            continue
    return corpora


def _repairs(sources: Sequence[Corpus], held_out: Sequence[Corpus]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for prefix, corpora in (("", sources), ("reported ", held_out)):
        for corpus in corpora:
            for defect in filter(lambda defect: defect.blocking, corpus.defects):
                counted[f"{prefix}{defect.kind} {'mended' if defect.repair else 'beyond repair'}"] += 1
            if dropped := corpus.counts["examples dropped"]:
                counted[f"{prefix}examples dropped"] += dropped
    return dict(counted)


def _summed(corpora: Sequence[Corpus]) -> dict[str, int]:
    summed: Counter[str] = Counter()
    for corpus in corpora:
        summed.update(corpus.counts)
    return dict(summed)


def _name(names: Sequence[str]) -> str:
    return " + ".join(dict.fromkeys(names))
