"""What teachers say reaches the pupil, token by token; and which runs cannot teach."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets.config
import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from tiny import history, make_encoder, trained_to_be, weights

from spantune.answering import Predictor
from spantune.answering.arrow_arrays import as_columns
from spantune.answering.batches import NO_LABEL, allowed_tokens, training_batch
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import Windows, make_windows
from spantune.config import PredictorConfig, TrainConfig
from spantune.data import load_corpus
from spantune.errors import ConfigError, RunError
from spantune.modeling import load_tokenizer
from spantune.runs import RunFolder
from spantune.scoring.official_metrics import score
from spantune.training import distillation, train
from spantune.training.distillation import Lessons, TaughtRows, lessons
from spantune.training.trainer import _parts


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    yield tmp_path / "cache" / "spantune"


def windows_of(config: TrainConfig, *, segment_ids: bool = True) -> Windows:
    rules = window_rules(config, tokenizer := load_tokenizer(config.model), longest=96, segment_ids=segment_ids)
    return make_windows(load_corpus(config.data[0]), tokenizer, rules)


def of_one_window(run: RunFolder, windows: Windows, row: int, temperature: float) -> np.ndarray:
    """(2, N) a teacher's probabilities of one window's allowed tokens, the plain way."""
    model = Predictor.load(run.path).model
    columns = as_columns({key: [value] for key, value in windows.dataset[row].items()})
    with torch.inference_mode():
        logits = model(
            torch.tensor([windows.dataset[row]["input_ids"]]),
            torch.ones(1, len(windows.dataset[row]["input_ids"]), dtype=torch.long),
            torch.tensor([windows.dataset[row]["token_type_ids"]]),
        )
    allowed = allowed_tokens(columns, logits.start.shape[1])
    return np.stack([(one[allowed].float() / temperature).softmax(0).numpy() for one in logits])


@pytest.fixture
def second(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """Another teacher: the first one with a louder head."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(finished.path, tmp_path / "second"))
    (file,) = (folder / "adapter").glob("*.safetensors")
    state = load_file(file)
    head = next(name for name in state if name.endswith("qa_outputs.weight"))
    save_file({**state, head: 3 * state[head]}, file, {"format": "pt"})
    return RunFolder(trained_to_be(folder))


def test_lessons_are_the_mean_of_the_teachers_probabilities(
    finished: RunFolder, second: RunFolder, config: Any
) -> None:
    asked = config(teachers=(str(finished.path), str(second.path)), teacher_temperature=1.5)
    windows = windows_of(asked)
    found = lessons(asked, windows)
    assert found is not None and len(found) == len(windows.trainable()) and found.values.dtype == np.float16
    for row in (0, 7, len(found) - 1):
        each = [of_one_window(run, windows, row, 1.5) for run in (finished, second)]
        assert np.abs(each[0] - each[1]).max() > 0.01, "the teachers differ"
        np.testing.assert_allclose(found[row], np.mean(each, axis=0), atol=1e-3)


def test_windows_without_a_label_have_no_lesson(
    finished: RunFolder, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(teachers=(str(finished.path),))
    windows = windows_of(asked)
    whole = lessons(asked, windows)
    cut = [windows.dataset[row] | {"kind": 2 if row in (0, 5) else 0} for row in range(len(windows))]
    dataset = type(windows.dataset).from_list(cut, features=windows.dataset.features)
    fewer = Windows(dataset, windows.corpus, windows.rules)
    monkeypatch.setattr(distillation, "make_windows", lambda *_: fewer)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "other")
    found = lessons(asked, fewer)
    assert whole is not None and found is not None and len(found) == len(whole) - 2 == len(fewer.trainable())
    for row, same in ((0, 1), (3, 4), (4, 6), (len(found) - 1, len(whole) - 1)):
        np.testing.assert_allclose(found[row], whole[same], atol=1e-3)


def test_what_was_said_is_kept_until_it_would_differ(
    finished: RunFolder, second: RunFolder, config: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(teachers=(str(finished.path),))
    windows = windows_of(asked)
    first = lessons(asked, windows)
    (file,) = own_cache.glob("lessons-*.safetensors")
    made = []
    real = distillation._made
    monkeypatch.setattr(distillation, "_made", lambda *given: made.append(given) or real(*given))
    again = lessons(asked, windows)
    assert first is not None and again is not None and np.array_equal(first.values, again.values) and not made
    lessons(config(teachers=(str(finished.path),), teacher_temperature=3.0), windows)
    lessons(config(teachers=(str(second.path),)), windows)
    assert len(made) == 2, "another temperature, another teacher"
    file.write_bytes(file.read_bytes()[:100])
    repaired = lessons(asked, windows)
    assert len(made) == 3 and repaired is not None and np.array_equal(first.values, repaired.values)
    lessons(config(teachers=(str(finished.path),), precision="bf16"), windows)
    assert len(made) == 4, "another precision"


def test_lessons_that_cannot_be_kept_are_given_all_the_same(
    finished: RunFolder, config: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(distillation, "save_file", full)
    asked = config(teachers=(str(finished.path),))
    with pytest.warns(UserWarning, match="cannot be kept for the next run: No space left"):
        found = lessons(asked, windows := windows_of(asked))
    assert found is not None and len(found) == len(windows.trainable())
    assert not list(own_cache.glob("*.safetensors"))


def test_a_batch_has_each_lesson_at_its_tokens(finished: RunFolder, config: Any) -> None:
    asked = config(teachers=(str(finished.path),))
    windows = windows_of(asked)
    said = lessons(asked, windows)
    assert said is not None
    chosen = [3, 0, 11]
    rows = TaughtRows(windows.trainable(), said)
    fetched = rows.__getitems__(chosen)
    assert all(np.array_equal(row["lesson"], rows[at]["lesson"]) for at, row in zip(chosen, fetched, strict=True))
    columns = {key: [row[key] for row in fetched] for key in fetched[0]}
    batch = training_batch(columns, pad_token_id=0, which="all", max_length=48)
    assert batch["taught"].shape == (3, 2, batch["input_ids"].shape[1])
    assert not batch["taught"][~batch["allowed"][:, None].expand(-1, 2, -1)].any()
    for row, at in enumerate(chosen):
        assert np.array_equal(batch["taught"][row][:, batch["allowed"][row]].numpy(), said[at].astype(np.float32))
    torch.testing.assert_close(batch["taught"].sum(2), torch.ones(3, 2), rtol=0, atol=5e-3)


def test_a_row_that_stands_in_teaches_nothing() -> None:
    row = {
        **{"input_ids": [1, 2, 3], "length": 3, "context_first": 1, "offsets": [0, 1, 2, 3], "blank": [], "kind": 0},
        **{"starts": [1], "ends": [1], "lesson": np.full((2, 3), 1 / 3, np.float16), "stands_in": True},
    }
    made = _parts([row], pad_token_id=0, which="all", max_length=48, max_tokens=100, at_least=1)
    assert made["windows"] == 0 and not made["parts"][0]["taught"].any()
    assert (made["parts"][0]["starts"] == NO_LABEL).all()


def test_a_pupil_learns_what_the_teacher_says_and_not_what_the_data_say(
    finished: RunFolder, config: Any, tmp_path: Path, dev_file: str, no_plots: None
) -> None:
    """The accepted answers are wrong here, and the teachers have the whole loss: the pupil answers as they do."""
    content = json.loads(Path(config().data[0]).read_text(encoding="utf-8"))
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                asked["answers"] = [{"text": paragraph["context"].split()[0], "answer_start": 0}]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(content), encoding="utf-8")
    own = {"data": (str(wrong),), "epochs": 3, "selection_fraction": 0.0}
    teacher = json.loads(finished.predictions.read_text(encoding="utf-8"))
    taught = train(config("taught", teachers=(str(finished.path),), teacher_weight=1.0, **own))
    alone = train(config("alone", **own))
    right = load_corpus(dev_file).examples
    assert score(right, teacher)["f1"] > 60 < taught.metrics["reported"]["f1"]
    assert alone.metrics["reported"]["f1"] < 20
    assert taught.config["teachers"] == [str(finished.path)]


def test_a_resumed_pupil_is_the_same(finished: RunFolder, config: Any, tmp_path: Path, no_plots: None) -> None:
    from spantune.training.trainer import SpanTrainer

    asked = {"teachers": (str(finished.path),), "checkpoint_seconds": 0.0, "epochs": 1}
    train(config("whole", **asked))
    steps, real = [0], SpanTrainer.training_step

    def stopping(self: SpanTrainer, *given: Any) -> Any:
        steps[0] += 1
        if steps[0] == 5:
            raise KeyboardInterrupt
        return real(self, *given)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SpanTrainer, "training_step", stopping)
        train(config("stopped", **asked))
    train(config("stopped", resume=True, **asked))
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(bool((one[name] == other[name]).all()) for name in one)
    assert len(history(tmp_path / "whole")) == len(history(tmp_path / "stopped"))


def test_a_pupil_without_segment_ids_of_a_teacher_with_them(finished: RunFolder, config: Any, tmp_path: Path) -> None:
    asked = config(teachers=(str(finished.path),))
    with_ids, without = windows_of(asked), windows_of(asked, segment_ids=False)
    assert "token_type_ids" not in without.dataset.column_names
    both = [lessons(asked, one) for one in (with_ids, without)]
    assert both[0] is not None and both[1] is not None and np.array_equal(both[0].values, both[1].values)


def test_without_teachers_or_without_epochs_there_is_no_lesson(finished: RunFolder, config: Any) -> None:
    windows = windows_of(config())
    assert lessons(config(), windows) is None
    assert lessons(config(teachers=(str(finished.path),), epochs=0), windows) is None


def test_teachers_that_cannot_teach(finished: RunFolder, config: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no trained model here") as raised:
        train(config(teachers=("runs/ful-0",)))
    assert raised.value.where == "runs/ful-0"
    assert not (tmp_path / "run" / "history.jsonl").exists()
    with pytest.raises(ConfigError, match="cannot teach when not to answer"):
        train(config("v2", teachers=(str(finished.path),), squad_v2=True))
    other = Path(make_encoder(tmp_path / "other"))
    vocabulary = (other / "vocab.txt").read_text(encoding="utf-8").splitlines()
    shutil.rmtree(other)
    from transformers import BertConfig, BertModel, BertTokenizerFast

    other.mkdir()
    (other / "vocab.txt").write_text("\n".join([*vocabulary[:5], *reversed(vocabulary[5:])]) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(other / "vocab.txt"), do_lower_case=True).save_pretrained(other)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}
    made = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=96, **shape)
    BertModel(made, add_pooling_layer=False).save_pretrained(other)
    lessons(config(teachers=(str(finished.path),)), windows_of(config()))
    with pytest.raises(ConfigError, match="other tokens than the encoder that learns") as of_tokens:
        train(config("tokens", model=str(other), teachers=(str(finished.path),)))
    assert of_tokens.value.where == f"teachers: {finished.path}", "also where it has taught others before"


def test_a_teacher_with_fewer_positions(
    finished: RunFolder, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(teachers=(str(finished.path),))
    windows = windows_of(asked)
    teacher = Predictor.load(finished.path, PredictorConfig(device="cpu"))
    monkeypatch.setattr("spantune.modeling.SpanModel.max_length", property(lambda self: 47))
    with pytest.raises(ConfigError, match="windows of 48 tokens do not fit into a teacher") as raised:
        distillation._windows_of(teacher, "it", asked, windows)
    assert raised.value.where == "teachers: it" and "--max-length 47" in str(raised.value.fix)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"teachers": ("a", "a")}, "teachers: expected each run once"),
        ({"teacher_weight": 0.0}, "teacher-weight: expected above 0, at most 1"),
        ({"teacher_temperature": 0.0}, "teacher-temperature: expected above 0"),
        ({"teacher_weight": 0.7}, "teacher-weight: needs --teachers"),
        ({"teacher_temperature": 1.0}, "teacher-temperature: needs --teachers"),
    ],
)
def test_settings_out_of_range(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        TrainConfig(**changes)


def test_a_lesson_is_two_rows() -> None:
    made = Lessons(np.arange(10, dtype=np.float16), np.array([0, 4, 10]))
    assert len(made) == 2 and made[1].tolist() == [[4, 5, 6], [7, 8, 9]]
