"""A method's hook is called while a run trains, resumes, ends, is saved and loaded; a toy method uses all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tiny import history, same_weights, weights
from torch import Tensor

from spantune.answering.predictor import Predictor
from spantune.methods import get, methods, registry
from spantune.methods.hook import Hook
from spantune.methods.options import target_layers
from spantune.runs import RunRecord
from spantune.training import train
from spantune.training.callbacks import GracefulStop

pytestmark = pytest.mark.usefixtures("no_plots")
STEPS = 16
MARK = "base_model.model.toy_mark"
PENALTY = 1e3


class ToyHook(Hook):
    """Counts steps, keeps the first bias of the head near 1, and marks what is saved."""

    loaded: ClassVar[list[float]] = []

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self.steps = torch.zeros(1)
        self.bias = next(
            w for name, w in network.named_parameters() if "modules_to_save" in name and name[-4:] == "bias"
        )

    def penalty(self) -> Tensor:
        return PENALTY * (self.bias[0] - 1).square()

    def after_step(self, step: int, steps: int, *, learned: bool = True) -> None:
        assert learned and steps == STEPS and self.bias.grad is not None and self.bias.grad.abs().max() > 0
        self.steps += 1
        assert int(self.steps) == step, "no step is left out, also not by a resumed run"

    def metrics(self) -> dict[str, float]:
        return {"toy": float(self.steps)}

    def state(self) -> dict[str, Tensor]:
        return {"steps": self.steps}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.steps.copy_(state["steps"])

    def finish(self) -> str:
        return f"a toy after {int(self.steps)} steps"

    def before_saving(self, config: Any, state: dict[str, Tensor]) -> None:
        config.revision = "toy"
        state[MARK] = self.steps

    def before_loading(self, state: dict[str, Tensor]) -> None:
        self.loaded.append(float(state.pop(MARK)))


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    methods()
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    monkeypatch.setattr(ToyHook, "loaded", [])
    traits = {"label": "Toy", "family": "reparametrisation", "paper": "none", "learning_rate": 1e-2, "grid": (1e-2,)}

    @registry.method("toy", **traits, hook=ToyHook)
    def inject(options: Any, encoder: Any) -> Any:
        """LoRA with a hook."""
        from peft import LoraConfig

        return LoraConfig(r=2, target_modules=target_layers("query-value", encoder))

    methods.cache_clear()
    yield
    methods.cache_clear()


def test_a_hook_is_called_in_a_run(config: Any, tmp_path: Path) -> None:
    record = train(config(method="toy", learning_rate=None))
    assert record.steps == STEPS and record.notes[-1] == f"a toy after {STEPS} steps"
    logged = [row for row in history(tmp_path / "run") if "loss" in row]
    assert [row["toy"] for row in logged] == [row["step"] for row in logged]
    assert all(row["loss"] < PENALTY / 10 for row in logged), "the penalty is left out of the loss"
    assert logged[0]["grad_norm"] > PENALTY, "and is in its gradient"
    assert float(weights(tmp_path / "run")[MARK]) == STEPS
    assert '"revision": "toy"' in (tmp_path / "run" / "adapter" / "adapter_config.json").read_text(encoding="utf-8")
    Predictor.load(tmp_path / "run")
    assert ToyHook.loaded == [STEPS]


def test_a_hook_goes_on_when_a_run_is_resumed(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config("whole", method="toy", learning_rate=None))
    with monkeypatch.context() as patched:
        real = GracefulStop.on_step_end

        def stop(self: GracefulStop, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            self.asked = state.global_step == 5
            return real(self, args, state, control, **rest)

        patched.setattr(GracefulStop, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config(method="toy", learning_rate=None))
    (state,) = tmp_path.glob("run/checkpoints/checkpoint-5/method.safetensors")
    assert state.is_file()
    train(config(method="toy", learning_rate=None, resume=True))
    assert same_weights(tmp_path / "run", tmp_path / "whole") and history(tmp_path / "run") == history(
        tmp_path / "whole"
    )
    assert RunRecord.read(tmp_path / "run").notes == RunRecord.read(tmp_path / "whole").notes


def test_a_method_without_a_hook_has_one_that_does_nothing() -> None:
    hook = get("lora").hook(None)
    assert hook.penalty() is None and hook.finish() is None and hook.state() == {} == hook.metrics()
