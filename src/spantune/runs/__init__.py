"""A run is a folder, described by the `record.json` in it. No torch."""

from spantune.runs.atomic_files import write_json_atomic, write_text_atomic
from spantune.runs.folder import RunFolder, distinct_names
from spantune.runs.history import History
from spantune.runs.record import SETS, AnswerSpeed, Best, DataRecord, ParameterCount, RunRecord, Timings, utc_now
from spantune.runs.redaction import command_line, without_password, without_paths

__all__ = [
    "SETS",
    "AnswerSpeed",
    "Best",
    "DataRecord",
    "History",
    "ParameterCount",
    "RunFolder",
    "RunRecord",
    "Timings",
    "command_line",
    "distinct_names",
    "utc_now",
    "without_password",
    "without_paths",
    "write_json_atomic",
    "write_text_atomic",
]
