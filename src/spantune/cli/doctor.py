"""`spantune doctor`: defects in a data source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spantune.cli.output import print_json
from spantune.config.commands import DoctorConfig
from spantune.config.parse.command import Command

if TYPE_CHECKING:
    from spantune.data import Corpus
    from spantune.data.checks.doctor import AnswerCheck
    from spantune.data.example import Example


def run(config: DoctorConfig) -> None:
    """Print a report on each source. Defects are no failure of the command."""
    from spantune.data import diagnose, examine

    examined = [examine(source, columns=config.columns, rows=config.rows) for source in config.sources]
    corpora = [(corpus, _held_out(source, config)) for corpus, source in zip(examined, config.sources, strict=True)]
    answers = _answer_check(config)
    reports = [
        diagnose(corpus, other, answers=answers, squad_v2=config.squad_v2, language=config.language)
        for corpus, other in corpora
    ]
    if config.json:
        print_json([report.as_dict() for report in reports])
    else:
        print("\n\n".join(report.to_text() for report in reports))


def _held_out(source: str, config: DoctorConfig) -> Corpus | None:
    """The reported set of a training on the source: the given one, else the source's own validation split."""
    from spantune.data import examine
    from spantune.data.corpus import has_validation

    held_out = config.eval_data or (source if has_validation(source) else None)
    return examine(held_out, split="validation", columns=config.columns, rows=config.rows) if held_out else None


def _answer_check(config: DoctorConfig) -> AnswerCheck:
    """Cuts windows as training would and names the answers that none of them holds whole or that cannot be given."""
    from spantune.answering.unsayable import unsayable_answers
    from spantune.answering.window_rules import window_rules
    from spantune.answering.windows import make_windows
    from spantune.data import Corpus
    from spantune.modeling.architecture_detection import architecture_of, max_positions
    from spantune.modeling.encoders import empty_network
    from spantune.modeling.save_load import load_config, load_tokenizer

    tokenizer = load_tokenizer(config.model)
    network = empty_network(load_config(config.model))
    longest = max_positions(network.config, architecture_of(network))
    rules = window_rules(config, tokenizer, longest=longest, segment_ids=False)

    def check(examples: Sequence[Example]) -> list[tuple[str, str, str]]:
        windows = make_windows(Corpus.of(examples, "doctor"), tokenizer, rules, cache=False)
        detail = f"no window of {config.max_length} tokens, {config.doc_stride} shared, holds an answer whole"
        unsayable = unsayable_answers(windows, config.max_answer_length).answers
        return [("unreachable-answer", id, detail) for id in windows.unreachable()] + [
            ("unsayable-answer", answer.id, answer.detail(config.max_answer_length)) for answer in unsayable
        ]

    return check


COMMAND = Command(
    name="doctor",
    config=DoctorConfig,
    run=run,
    examples="""
# a file before training on it
spantune doctor mine.json
# together with the reported set, with the windows and the tokenizer of the training
spantune doctor mine.json --eval-data dev.json --model bert-base-uncased --max-length 256 --doc-stride 64
""",
)
