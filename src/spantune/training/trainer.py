"""The one Trainer: span loss, length-bucketed batches, evaluation by EM and F1, small checkpoints."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from accelerate.data_loader import prepare_data_loader
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from spantune.answering.batches import NO_LABEL, LengthBatches, training_batch
from spantune.answering.engine import answer_windows
from spantune.answering.windows import Windows
from spantune.modeling.loss import distillation_loss, span_loss
from spantune.modeling.save_load import load_trainable_state, trainable_state
from spantune.modeling.span_model import SpanModel
from spantune.scoring.official_metrics import headline, score
from spantune.training import distributed
from spantune.training.batch_splitting import Gradients, side_by_side, sides, split
from spantune.training.callbacks import Bar
from spantune.training.checkpoints import (
    CHECKPOINT_BEST,
    CHECKPOINT_PROGRESS,
    CHECKPOINT_WEIGHTS,
    keep,
    unfinished,
    whole_or_gone,
)
from spantune.training.distillation import Lessons, TaughtRows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from spantune.config import Labels, RunConfig

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
_LOGS_PER_RUN = 100
_READERS = 2  # Processes that make the next batches while a GPU works on one; beside a CPU they would take from it.


def training_arguments(
    config: RunConfig, folder: Path, *, learning_rate: float, steps: int, device: torch.device, dtype: torch.dtype
) -> TrainingArguments:
    """The Trainer's own settings. Evaluation and saving are decided by `training.callbacks`, so they are off here."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        num_train_epochs=config.epochs,
        learning_rate=learning_rate,
        lr_scheduler_type=_SCHEDULES[config.schedule],
        warmup_steps=round(steps * config.warmup_ratio),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        data_seed=config.seed,
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        use_cpu=device.type == "cpu",
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=max(1, steps // _LOGS_PER_RUN),
        logging_nan_inf_filter=False,  # a diverged loss shows in the curve
        report_to="none",
        remove_unused_columns=False,
        label_names=["starts", "ends"],
        disable_tqdm=not sys.stderr.isatty(),  # a log or a notebook would keep every state of the bar
    )
    # With several GPUs in sight the Trainer would wrap the model in DataParallel, which drops autocast. One process has
    # one GPU here; several GPUs are several processes (docs/distributed.md).
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


@dataclass
class Progress:
    """What a checkpoint remembers beside weights, optimiser and random state.

    Attributes:
        train_seconds, eval_seconds: spent so far, all sittings together.
        best_step, best_epoch, best_f1: the best evaluation so far. stale: evaluations since.
        loss, logged_step: sum of the losses of the steps after the last log, and that log's step.
    """

    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    best_step: int = 0
    best_epoch: float = 0.0
    best_f1: float | None = None
    stale: int = 0
    loss: float = 0.0
    logged_step: int = 0


class SpanTrainer(Trainer):
    """Trains a `SpanModel` on windows and scores a selection split by EM and F1.

    Args:
        model, tokenizer: what is trained. config: of the run. arguments: see `training_arguments`.
        train: windows to learn. selection: windows to score, or None. taught: what teachers say of those to learn.
    """

    model: SpanModel

    def __init__(
        self,
        model: SpanModel,
        tokenizer: PreTrainedTokenizerFast,
        config: RunConfig,
        arguments: TrainingArguments,
        *,
        train: Windows,
        selection: Windows | None,
        dtype: torch.dtype,
        callbacks: list[TrainerCallback],
        taught: Lessons | None = None,
    ) -> None:
        trainable = train.trainable()
        rows: Any = trainable if taught is None else TaughtRows(trainable, taught)
        rows = rows if distributed.count() == 1 else distributed.CountedRows(rows)
        super().__init__(model=model, args=arguments, train_dataset=rows, callbacks=callbacks)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        if not arguments.disable_tqdm:
            self.add_callback(Bar)
        self.add_callback(_AfterStep(self))
        # The loss is a sum over windows, divided by the windows of the whole step: accumulation changes no gradient.
        self.model_accepts_loss_kwargs = True
        self.config, self.tokenizer, self.selection, self.dtype = config, tokenizer, selection, dtype
        self.lengths, self.max_length = train.lengths[train.labelled()], train.rules.max_length
        self.progress = Progress()
        self.best: dict[str, Tensor] | None = None
        self.hook = model.hook
        self._loss = torch.zeros((), device=arguments.device)  # of the steps since the last log
        self._side_by_side: Gradients | None = None
        self._mark = time.perf_counter()

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of similar length, in an order that depends on seed and epoch alone, each in its parts."""
        on_gpu = self.args.device.type == "cuda"
        batches: Any = LengthBatches(self.lengths, self.config.batch_size, seed=self.config.seed)
        alone = self.args.world_size == 1
        loader: DataLoader[Any] = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_sampler=batches if alone else distributed.Share(batches, distributed.rank(), distributed.count()),
            collate_fn=functools.partial(
                _parts,
                pad_token_id=self.tokenizer.pad_token_id,
                which=self.config.labels,
                max_length=self.max_length,
                max_tokens=self.config.max_batch_tokens,
                at_least=sides(self.model, self.args.device) if alone else 1,
            ),
            num_workers=_READERS if on_gpu else 0,
            persistent_workers=on_gpu,
            pin_memory=on_gpu,
        )
        # Each process has its share already, so none is cut off here.
        return prepare_data_loader(
            loader, self.args.device, num_processes=1, process_index=0, put_on_device=True, non_blocking=on_gpu
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Span loss (with teachers: and theirs) summed over the micro-batch, divided by the windows of the step."""
        inputs = dict(inputs)
        starts, ends, allowed = (inputs.pop(key) for key in ("starts", "ends", "allowed"))
        taught = inputs.pop("taught", None)
        logits = model(**inputs)
        losses = span_loss(logits, starts, ends, allowed)
        if taught is not None:
            theirs = distillation_loss(logits, taught, allowed, self.config.teacher_temperature)
            losses = torch.lerp(losses, theirs, self.config.teacher_weight)
        if (penalty := self.hook.penalty()) is not None:
            # Of each window, so that a step counts it once; of its gradient alone, so that the loss is the span loss.
            losses = losses + (penalty - penalty.detach())
        if num_items_in_batch is None:
            return losses.mean()
        # Processes average their gradients, so each one scales its share of the sum up again.
        return losses.sum() / num_items_in_batch * self.accelerator.num_processes

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Forward and backward pass of all parts of a batch; their loss together."""
        parts = inputs["parts"]
        if self._side_by_side is not None and len(parts) > 1:
            model.train()
            loss_of = functools.partial(self.compute_loss, model, num_items_in_batch=num_items_in_batch)
            loss = self._side_by_side.backward([functools.partial(loss_of, part) for part in parts])
        else:
            loss = torch.zeros((), device=self.args.device)
            for place, part in enumerate(parts):
                # Processes exchange gradients once a batch: each may have cut its own into another number of parts.
                last = place == len(parts) - 1
                with nullcontext() if last else self.accelerator.no_sync(model):
                    loss = loss + super().training_step(model, part, num_items_in_batch)
        self._loss += loss
        return loss

    def train(self, *arguments: Any, **named: Any) -> Any:
        """Train; on a CPU the parts of a batch in parallel, if possible."""
        alone = self.args.world_size == 1
        with side_by_side(self.model, self.args.device) if alone else nullcontext() as self._side_by_side:
            return super().train(*arguments, **named)

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Tensor | int | None]:
        """The batches of a step, and how many windows they hold in all processes together."""
        batches = list(islice(epoch_iterator, num_batches))
        windows = sum(batch["windows"] for batch in batches)
        if self.args.world_size == 1:
            return batches, windows
        return batches, self.accelerator.gather(torch.tensor(windows, device=device)).sum()

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # type: ignore[override]
        """Loss, EM and F1 on the selection split."""
        if self.selection is None:
            return {}
        self.count_seconds("train_seconds")
        scored = self._selection_scores()  # by every process, since none waits for long
        metrics = distributed.agreed(lambda: scored)
        self.log(dict(metrics))
        self._keep_if_best(metrics["eval_f1"])
        self.count_seconds("eval_seconds")
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _selection_scores(self) -> dict[str, float]:
        assert self.selection is not None
        answers = answer_windows(
            self.accelerator.unwrap_model(self.model),
            self.selection,
            pad_token_id=self.tokenizer.pad_token_id,
            decode=self.config,
            dtype=self.dtype,
            squad_v2=self.config.squad_v2,
            loss_labels=self.config.labels,
        )
        scored = headline(score(self.selection.corpus.examples, answers.texts, language=self.config.language))
        loss = {} if answers.loss is None else {"eval_loss": answers.loss}  # None: no window with a label
        return {"eval_em": scored["em"], "eval_f1": scored["f1"], **loss}

    def _keep_if_best(self, f1: float) -> None:
        if self.progress.best_f1 is not None and f1 <= self.progress.best_f1:
            self.progress.stale += 1
            patience = self.config.early_stopping
            if patience is not None and self.progress.stale >= patience:
                # No checkpoint here: resumed from it, the run would go a step beyond its end.
                self.control.should_training_stop, self.control.should_save = True, False
            return
        self.progress.best_f1, self.progress.stale = f1, 0
        self.progress.best_step, self.progress.best_epoch = self.state.global_step, float(self.state.epoch or 0)
        self.best = trainable_state(self.accelerator.unwrap_model(self.model))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With the mean loss of all steps since the last log; the Trainer forgets those before it was resumed."""
        if "loss" in logs:
            steps = self.state.global_step - self.progress.logged_step
            logs["loss"] = self.accelerator.gather(self._loss).mean().item() / steps
            logs |= self.hook.metrics()
            self._loss.zero_()
            self.progress.logged_step = self.state.global_step
        super().log(logs, start_time)

    def restore_best(self) -> None:
        """Put the weights of the best evaluation back; without one, the last weights stay."""
        if self.best is not None:
            load_trainable_state(self.accelerator.unwrap_model(self.model), self.best)

    def count_seconds(self, to: Literal["train_seconds", "eval_seconds"] | None = None) -> None:
        """Book the time since the last call to `to` (None: to nothing)."""
        now = time.perf_counter()
        if to is not None:
            setattr(self.progress, to, getattr(self.progress, to) + now - self._mark)
        self._mark = now

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder, name = Path(str(self.args.output_dir)), f"checkpoint-{self.state.global_step}"
        with whole_or_gone(unfinished(folder)):
            super()._save_checkpoint(model, trial)
            distributed.wait()  # each process writes its random state
            distributed.agreed(lambda: keep(unfinished(folder) / name, folder / name))

    def _get_output_dir(self, trial: Any) -> str:
        return str(unfinished(Path(str(self.args.output_dir))))  # the Trainer puts a checkpoint there

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Only what learns: the frozen encoder is not written again with every checkpoint."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        self.count_seconds("train_seconds")
        save_file(trainable_state(self.accelerator.unwrap_model(self.model)), folder / CHECKPOINT_WEIGHTS)
        if self.best is not None:
            save_file(self.best, folder / CHECKPOINT_BEST)
        if state := self.hook.state():
            save_file(state, folder / self.hook.checkpoint)
        self.progress.loss = float(self._loss)
        (folder / CHECKPOINT_PROGRESS).write_text(json.dumps(asdict(self.progress)), encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        folder = Path(resume_from_checkpoint)
        load_trainable_state(self.accelerator.unwrap_model(model or self.model), load_file(folder / CHECKPOINT_WEIGHTS))
        self.progress = Progress(**json.loads((folder / CHECKPOINT_PROGRESS).read_text(encoding="utf-8")))
        self.best = load_file(folder / CHECKPOINT_BEST) if (folder / CHECKPOINT_BEST).exists() else None
        self._loss.fill_(self.progress.loss)
        if (path := folder / self.hook.checkpoint).exists():
            self.hook.load_state(load_file(path))


class _AfterStep(TrainerCallback):
    """Calls the method's hook after each step of the optimiser, while its gradients are still there."""

    def __init__(self, trainer: SpanTrainer) -> None:
        self.trainer = trainer

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        skipped = self.trainer.accelerator.optimizer_step_was_skipped
        self.trainer.hook.after_step(state.global_step + 1, state.max_steps, learned=not skipped)


def _parts(
    rows: list[dict[str, Any]], *, pad_token_id: int, which: Labels, max_length: int, max_tokens: int, at_least: int
) -> dict[str, Any]:
    """A batch of rows as the `parts` that go through the model, and how many `windows` count."""
    stands_in = [row.pop("stands_in", False) for row in rows]
    cut = split([row["length"] for row in rows], max_tokens=max_tokens, at_least=at_least)
    parts = [
        training_batch(
            {key: [row[key] for row in rows[part]] for key in rows[0]},
            pad_token_id=pad_token_id,
            which=which,
            max_length=max_length,
        )
        for part in cut
    ]
    if any(stands_in):
        for key in ("starts", "ends"):
            parts[0][key].fill_(NO_LABEL)
        if "taught" in parts[0]:
            parts[0]["taught"].zero_()
    return {"parts": parts, "windows": stands_in.count(False)}
