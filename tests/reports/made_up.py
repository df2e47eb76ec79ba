"""Seven methods' records as a run would leave them; the numbers are made up."""

import math
import random

from spantune.runs import Best, DataRecord, ParameterCount, RunRecord, Timings

TOTAL = 22_714_370
METHODS = {  # name: label, trainable, F1 reached, steps to half of it, examples per second
    "full": ("Full fine-tuning", TOTAL, 51.9, 40, 11.2),
    "lora": ("LoRA", 443_138, 52.4, 45, 17.6),
    "loha": ("LoHa", 295_682, 50.8, 60, 12.9),
    "ia3": ("(IA)³", 15_362, 44.1, 90, 18.8),
    "prefix-tuning": ("Prefix tuning", 92_930, 43.6, 100, 16.1),
    "prompt-encoder": ("Prompt encoder", 14_210, 22.7, 150, 15.0),
    "head-only": ("Head only", 770, 14.2, 110, 39.0),
}
EVALUATED = ("reported", "selection")


def record(method="lora", seed=0, **changes):
    label, trainable, f1, _, speed = METHODS[method]
    noise = random.Random(f"{method}{seed}")
    f1 += noise.gauss(0, 0.6)
    values = dict(
        status="finished",
        method=method,
        label=label,
        model="minilm",
        seed=seed,
        config={"learning_rate": None, "epochs": 3.0, "seed": seed, "output": f"runs/{method}-{seed}"},
        options={},
        data={
            "train": DataRecord(("a.json", "b.json"), "f1", 5400, 5600),
            "selection": DataRecord(("a.json", "b.json"), "f2", 600, 620),
            "reported": DataRecord(("/data/xquad-en.json",), "f3", 1190, 1204),
        },
        hardware={"cpu": "Intel Xeon Platinum 8480", "cores": 2, "memory_bytes": 8 * 10**9},
        parameters=ParameterCount(trainable, TOTAL, 770),
        adapter_bytes=trainable * 4 + 900,
        timings=Timings(5400 / speed + noise.gauss(0, 4), 60.0, 5400 / speed + 90, speed + noise.gauss(0, 0.2)),
        peak_memory_bytes=1_400_000_000 + int(trainable * 16),
        metrics={name: {"em": f1 * 0.72, "f1": f1} for name in EVALUATED},
        best=Best(300, 2.7, f1),
        steps=338,
    )
    return RunRecord(**values | changes)


def history(method="lora", seed=0, steps=338, every=5):
    _, _, reached, half, _ = METHODS[method]
    noise = random.Random(f"history{method}{seed}")
    rows = []
    for step in range(every, steps + 1, every):
        learned = 1 - math.exp(-step / half / 1.4)
        loss = 5.9 - (5.9 - 4.6 * (1 - reached / 75)) * learned * 0.9 + noise.gauss(0, 0.16)
        warm = min(1.0, step / 34)
        row = {"step": step, "epoch": step / 113, "loss": loss, "learning_rate": 1e-3 * warm * (1 - step / steps)}
        rows.append(row | {"grad_norm": 1.0})
        if step % 55 < every or step == steps:
            f1 = reached * learned + noise.gauss(0, 0.7)
            rows.append(
                {
                    "step": step,
                    "epoch": step / 113,
                    "selection_loss": loss + 0.15,
                    "selection_em": f1 * 0.7,
                    "selection_f1": f1,
                }
            )
    return rows


def study(seeds=(0,)):
    return [record(method, seed) for method in METHODS for seed in seeds]
