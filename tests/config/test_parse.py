from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spantune.config import CompareConfig, EvaluateConfig, TrainConfig
from spantune.config.commands import AskConfig, PredictConfig, ScoreConfig
from spantune.config.parse import yaml_file
from spantune.config.parse.parse import ParsedCommand
from spantune.errors import ConfigError

Resolve = Callable[..., ParsedCommand]


def mistakes(resolve: Resolve, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        resolve(*words)
    return [line.strip() for line in str(raised.value).splitlines()[1:]]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
        return str(tmp_path / "c.yaml")

    return write


def test_nothing_given_is_the_defaults(train: Resolve) -> None:
    lora = {"rank": 4, "alpha": 8.0, "targets": "some", "fast": False, "layers": ()}
    assert train().config == TrainConfig(options=lora)


def test_flags_go_before_yaml_before_defaults(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("max_length: 256\ndoc-stride: 64\nlearning_rate: 1e-3\nmlflow: false\nlora: {rank: 8, alpha: 2}\n")
    config = train("--config", path, "--max-length", "320", "--lora.rank=16").config
    assert (config.max_length, config.doc_stride, config.learning_rate, config.mlflow) == (320, 64, 1e-3, False)
    assert (config.options["rank"], config.options["alpha"], config.epochs) == (16, 2.0, 3.0)


def test_a_switch_equal_to_the_default_still_goes_before_yaml(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("mlflow: false\nresume: true\nlora: {fast: true}\n")
    config = train("--config", path, "--mlflow", "--no-resume", "--lora.no-fast").config
    assert (config.mlflow, config.resume, config.options["fast"]) == (True, False, False)
    assert train("--config", path).config.options["fast"] is True


def test_a_flag_equal_to_the_default_still_goes_before_yaml(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("max_length: 256\ndata: [a, b]\nlearning_rate: 0.5\nlora: {rank: 8}\n")
    words = ("--max-length", "384", "--data", "sample", "--learning-rate", "none", "--lora.rank", "4")
    assert train("--config", path, *words).config == train().config


def test_dashes_and_underscores_are_the_same(train: Resolve, file: Callable[[str], str]) -> None:
    expected = train("--max-length", "99", "--doc-stride", "9").config
    assert train("--max_length", "99", "--doc_stride=9").config == expected
    assert train("--config", file("max-length: 99\ndoc_stride: 9\n")).config == expected
    dashed = train("--method", "dashed-name", "--dashed-name.length", "7").config
    assert dashed.options == {"length": 7}
    assert train("--method", "dashed-name", "--dashed_name.length", "7").config == dashed
    for key in ("dashed-name: {length: 7}", "dashed_name: {length: 7}", "dashed-name.length: 7"):
        assert train("--config", file(f"method: dashed-name\n{key}\n")).config == dashed


def test_lists(train: Resolve, file: Callable[[str], str]) -> None:
    assert train("--data", "a", "b*2", "--eval-data").config.data == ("a", "b*2")
    assert train("--config", file("data: squad\n")).config.data == ("squad",)
    assert train("--lora.layers", "1", "2").config.options["layers"] == (1, 2)


def test_all_mistakes_are_reported_together(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("max_lenght: 3\nseed: '3'\nlora: {rnk: 1, alpha: [1]}\nzzzz: 1\n7: 8\n")
    found = mistakes(
        train, "--config", path, "--learning-rat", "3", "--lora.rnk=3", "--epochs", "many", "--schedule", "cosin",
        "--dashed-name.length", "3", "--no-mlflo",
    )  # fmt: skip
    assert found == [
        "--learning-rat: unknown, did you mean --learning-rate?",
        "--lora.rnk: unknown, did you mean --lora.rank?",
        "--no-mlflo: unknown, did you mean --no-mlflow?",
        "--epochs: expected a number, found 'many'",
        "--schedule: expected one of linear, cosine, constant, found 'cosin', did you mean cosine?",
        f"{path}: max_lenght: unknown, did you mean max_length?",
        f"{path}: seed: expected a whole number, found '3' (text)",
        f"{path}: lora.rnk: unknown, did you mean lora.rank?",
        f"{path}: lora.alpha: expected a number, found [1] (a list)",
        f"{path}: zzzz: unknown",
        f"{path}: 7: unknown",
        "--dashed-name.length: given, but the method is lora",
    ]


def test_the_values_of_an_unknown_flag_are_not_further_mistakes(train: Resolve) -> None:
    assert mistakes(train, "--dta", "a", "b", "--seed", "1", "stray") == [
        "--dta: unknown, did you mean --data?",
    ]
    assert mistakes(train, "stray", "--dta", "a") == [
        "'stray': not expected here",
        "--dta: unknown, did you mean --data?",
    ]


def test_a_mistyped_value_in_yaml_counts_even_under_a_flag(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("seed: x\n")
    assert mistakes(train, "--config", path, "--seed", "1") == [
        f"{path}: seed: expected a whole number, found 'x' (text)"
    ]


def test_unknown_flags_are_told_beside_a_broken_file(train: Resolve, tmp_path: Path) -> None:
    found = mistakes(train, "--config", str(tmp_path / "none.yaml"), "--sed", "1")
    assert found[0] == "--sed: unknown, did you mean --seed?"
    assert found[1] == "the configuration cannot be read" and "none.yaml" in found[2]


def test_one_key_under_two_spellings(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("max-length: 99\nmax_length: 98\nlora: {rank: 1}\nlora.rank: 2\n")
    assert mistakes(train, "--config", path) == [
        f"{path}: max_length: given twice (also as max-length)",
        f"{path}: lora.rank: given twice (also as lora.rank)",
    ]


def test_options_must_be_a_mapping(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("lora: 16\n")
    assert mistakes(train, "--config", path) == [f"{path}: lora: expected a mapping of options, found 16"]
    assert train("--config", file("lora:\n")).config == train().config


def test_unknown_method(train: Resolve, compare: Resolve) -> None:
    assert mistakes(train, "--method", "loar", "--lora.rank", "3") == [
        "--method: expected one of lora, dashed-name, bare, found 'loar', did you mean lora?"
    ]
    assert mistakes(compare, "--methods", "lora", "full")[0].startswith("--methods: expected one of lora")


def test_options_of_another_method_in_yaml(train: Resolve, file: Callable[[str], str]) -> None:
    path = file("lora: {rank: 3}\n")
    assert mistakes(train, "--config", path, "--method", "bare") == ["lora.rank: given, but the method is bare"]


def test_range_errors_of_settings_and_options(train: Resolve) -> None:
    found = mistakes(train, "--max-length", "3", "--epochs", "-1", "--max-train-examples", "0")
    assert set(found) == {
        "epochs: expected 0 or more, found -1.0",
        "max-length: expected 16 tokens or more, found 3",
        "doc-stride: expected 0 to below max-length, found 128",
        "max-train-examples: expected 1 or more, found 0",
    }
    assert "rank: expected 1 or more, found 0" in mistakes(train, "--lora.rank", "0")[0]


def test_a_yaml_value_that_only_a_flag_makes_valid(train: Resolve, file: Callable[[str], str]) -> None:
    assert train("--config", file("doc_stride: 400\n"), "--max-length", "512").config.doc_stride == 400


def test_printed_configuration_gives_the_same_one(train: Resolve, compare: Resolve, file: Callable[[str], str]) -> None:
    for resolve, words in (
        (train, ()),
        (train, ("--method", "bare", "--data", "a", "b", "--learning-rate", "1e-5", "--no-mlflow")),
        (
            train,
            ("--method", "dashed-name", "--dashed-name.length", "3", "--columns", "question=é", "--experiment", "1e-3"),
        ),
        (compare, ()),
        (compare, ("--methods", "lora", "bare", "--seeds", "1", "2", "--lora.layers", "3", "--lora.fast")),
    ):
        first = resolve(*words)
        again = resolve("--config", file(yaml_file.write(first.as_yaml)))
        assert again == replace(first, general=again.general)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1),
            "epochs": st.floats(0.001, 1e6),
            "learning_rate": st.none() | st.floats(1e-12, 9),
            "data": st.lists(st.text("abc*. -:", min_size=1), min_size=1, max_size=3),
            "seed": st.integers(0, 2**32 - 1),
            "mlflow": st.booleans(),
        },
    )
)
def test_any_printed_configuration_gives_the_same_one(
    train: Resolve, file: Callable[[str], str], values: dict[str, Any]
) -> None:
    first = train("--config", file(yaml_file.write(values)))
    assert train("--config", file(yaml_file.write(first.as_yaml))).config == first.config


def test_a_record_of_a_run_is_a_configuration(train: Resolve, compare: Resolve, file: Callable[[str], str]) -> None:
    """`as_dict` keeps the options under `options`; the command line takes that too, and flags go before it."""
    trained = train("--method", "dashed-name", "--dashed-name.length", "3").config
    path = file(yaml.safe_dump(trained.as_dict()))
    assert train("--config", path).config == trained
    assert train("--config", path, "--dashed-name.length", "9").config.options == {"length": 9}
    compared = compare("--methods", "lora", "bare", "--lora.rank", "2").config
    content = {key: value for key, value in compared.as_dict().items() if key != "seed"}
    assert compare("--config", file(yaml.safe_dump(content))).config == compared
    path = file("options: {lenght: 3}\nmethod: dashed-name\n")
    assert mistakes(train, "--config", path) == [
        f"{path}: options: dashed-name.lenght: unknown, did you mean dashed_name.length?"
    ]


def test_compare_fills_in_every_method_and_hides_the_seed(compare: Resolve) -> None:
    config = compare("--dashed-name.length", "3").config
    assert isinstance(config, CompareConfig) and config.methods == ("lora", "dashed-name", "bare")
    assert config.options["dashed-name"] == {"length": 3} and config.options["bare"] == {}
    assert config.options["lora"]["rank"] == 4
    assert mistakes(compare, "--seed", "3") == ["--seed: unknown, did you mean --seeds?"]
    assert mistakes(compare, "--methods", "bare", "--lora.rank", "3") == ["--lora.rank: given, but the method is bare"]
    assert mistakes(compare, "--seeds", "1", "1") == ["seeds: expected each value once, found (1, 1)"]
    assert mistakes(compare, "--seeds") == ["seeds: expected at least one seed, found nothing"]
    assert mistakes(compare, "--seeds", "1", str(2**32)) == ["seeds: expected 0 to 4294967295, found 4294967296"]
    assert mistakes(compare, "--output", " ") == ["output: expected a folder, found ' '"]
    for words in (("--seeds", "1"), ("--seeds=2", "3")):
        assert mistakes(compare, "--seeds", "0", *words) == [
            "--seeds: given more than once; give all its values after one flag"
        ]
    assert mistakes(compare, "--config", "a.yaml", "--config", "b.yaml")[0] == "--config: given more than once"
    assert compare("--epochs", "1", "--epochs", "2").config.epochs == 2


def test_positions(as_command: Callable[[type[Any], list[str]], ParsedCommand]) -> None:
    config = as_command(EvaluateConfig, ["runs/a", "runs/b", "--data", "x"]).config
    assert (config.runs, config.data) == (("runs/a", "runs/b"), ("x",))
    config = as_command(PredictConfig, ["--data", "x", "runs/a"]).config
    assert (config.run, config.data) == ("runs/a", "x")
    config = as_command(AskConfig, ["r", "--question", "-5 is what?", "--context", "c", "--json"]).config
    assert (config.runs, config.question, config.json) == (("r",), "-5 is what?", True)
    only_predict = lambda *words: as_command(PredictConfig, list(words))  # noqa: E731
    assert mistakes(only_predict, "--data", "x", "a", "b") == ["RUN: expected text, found 2 values: a b"]
    assert mistakes(only_predict, "r", "--data", "./x", "--output", "x", "--n-best-output", "y") == [
        'output: expected a file of its own, found "x, the questions\' own file"'
    ]
    assert mistakes(only_predict, "r", "--data", "x", "--null-odds-output", "./predictions.json") == [
        "null-odds-output: expected a file of its own, found './predictions.json, where --output goes'"
    ]
    assert mistakes(only_predict) == [
        "RUN: expected a run folder, before the flags, found nothing",
        "data: expected a file or another source, found nothing",
    ]


def test_positions_in_yaml(
    as_command: Callable[[type[Any], list[str]], ParsedCommand], file: Callable[[str], str]
) -> None:
    path = file("runs: [a, b]\ndata: x\n")
    assert as_command(EvaluateConfig, ["--config", path]).config.runs == ("a", "b")
    assert as_command(EvaluateConfig, ["c", "--config", path]).config.runs == ("c",)


def test_ask_wants_one_context(as_command: Callable[[type[Any], list[str]], ParsedCommand]) -> None:
    ask = lambda *words: as_command(AskConfig, ["r", "--question", "q", *words])  # noqa: E731
    assert mistakes(ask) == ["context: expected either --context or --context-file, found 'neither'"]
    assert mistakes(ask, "--context", "c", "--context-file", "f") == [
        "context: expected either --context or --context-file, found 'both'"
    ]


def test_a_flag_without_its_value(train: Resolve) -> None:
    assert mistakes(train, "--max-length", "--seed", "3") == ["--max-length: expected one argument"]


@pytest.mark.parametrize("words", [("-1e-3",), ("-0.001",)])
def test_a_negative_number_is_a_value(train: Resolve, words: tuple[str, ...]) -> None:
    """In scientific notation, too, which argparse takes for a flag; the range is what is wrong with it."""
    assert mistakes(train, "--learning-rate", *words) == ["learning-rate: expected above 0 and below 10, found -0.001"]


def test_a_switch_takes_no_value(train: Resolve) -> None:
    assert mistakes(train, "--mlflow=no") == ["--mlflow/--no-mlflow: ignored explicit argument 'no'"]


@pytest.mark.parametrize("flag", ["--null-threshold", "--checkpoint-seconds"])
def test_nan_is_no_number(flag: str) -> None:
    with pytest.raises(ConfigError, match="expected a number, found nan"):
        if flag == "--null-threshold":
            ScoreConfig(data="a", predictions="b", null_threshold=float("nan"))
        else:
            TrainConfig(checkpoint_seconds=float("nan"))
