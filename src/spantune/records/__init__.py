"""A run is a folder, and `record.json` in it is the truth. No torch."""

from spantune.records.environment import (
    git_state,
    hardware,
    peak_gpu_memory_bytes,
    peak_memory_bytes,
    reset_peak_memory,
    versions,
)
from spantune.records.files import write_json_atomic, write_text_atomic
from spantune.records.folder import RunFolder, told_apart
from spantune.records.history import History
from spantune.records.public import command_line, without_password, without_paths
from spantune.records.record import SETS, Answering, Best, DataRecord, Parameters, RunRecord, Timings, utc_now

__all__ = [
    "SETS",
    "Answering",
    "Best",
    "DataRecord",
    "History",
    "Parameters",
    "RunFolder",
    "RunRecord",
    "Timings",
    "command_line",
    "git_state",
    "hardware",
    "peak_gpu_memory_bytes",
    "peak_memory_bytes",
    "reset_peak_memory",
    "told_apart",
    "utc_now",
    "versions",
    "without_password",
    "without_paths",
    "write_json_atomic",
    "write_text_atomic",
]
