"""The environment of a run: packages, hardware, memory, commit. Nothing heavy is imported for it."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import spantune

_PACKAGES = ("torch", "transformers", "peft", "datasets", "accelerate", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python, spantune and the installed packages that influence the numbers."""
    known = {"python": platform.python_version(), "spantune": spantune.__version__}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            known[name] = metadata.version(name)
    return known


def hardware() -> dict[str, Any]:
    """`cpu` (model), `cores` (that this process may use), `memory_bytes` (likewise), `system`, and `gpu` with
    `gpu_memory_bytes` where torch is loaded and sees one."""
    machine: dict[str, Any] = {"cpu": _cpu_model(), "cores": _cores(), "memory_bytes": _memory_bytes()}
    machine["system"] = f"{platform.system()} {platform.machine()}"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
        machine["gpu_memory_bytes"] = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    elif torch is not None and torch.backends.mps.is_available():
        machine["gpu"] = "Apple GPU (Metal)"
    return machine


def reset_peak_memory() -> None:
    """Start measuring peak memory again, for several runs in one process. For main memory this works on Linux only."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes() -> int:
    """Peak resident memory of this process since `reset_peak_memory`."""
    with suppress(OSError):
        match = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        if match:
            return int(match[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_gpu_memory_bytes() -> int | None:
    """Peak GPU memory of tensors; None without a CUDA GPU or before torch is loaded."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_allocated())


def git_state() -> dict[str, Any] | None:
    """`commit` and `dirty` of the checkout that spantune is imported from; None for an installed package."""
    package = Path(spantune.__file__).resolve().parent
    root = package.parent.parent
    if package.parent.name != "src" or not (root / ".git").exists():
        return None  # an installed package inside another project's checkout must not name that project's commit
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changes)} if commit else None


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    with suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if match:
            return match[1].strip()
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            query = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Cores of the affinity mask, or fewer if a container's quota allows fewer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def _memory_bytes() -> int:
    """Memory of the machine, or less if a container's limit is lower."""
    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total
