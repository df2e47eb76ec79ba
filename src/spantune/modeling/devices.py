"""Which device a model runs on, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spantune.errors import EncoderError

if TYPE_CHECKING:
    from spantune.config import Device, Precision


def choose_device(wanted: Device) -> torch.device:
    """`auto` selects a GPU if there is one; EncoderError if the machine lacks the wanted device."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if not there[wanted]:
        raise EncoderError(f"there is no {wanted} device on this machine", fix="--device auto")
    return torch.device(wanted)


def choose_dtype(wanted: Precision, device: torch.device) -> torch.dtype:
    """Precision of the forward pass; `auto` is bf16 if the hardware multiplies in it, else fp32.

    Raises:
        EncoderError: fp16 on a CPU, which would train in fp32 and answer in fp16.
    """
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if wanted == "fp16" and device.type == "cpu":
        raise EncoderError("half precision (fp16) needs a GPU", found="a CPU", fix="--precision bf16 or fp32")
    if wanted != "auto":
        return named[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _cpu_multiplies_bf16() else torch.float32


def _cpu_multiplies_bf16() -> bool:
    """AVX512-BF16 or AMX."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
