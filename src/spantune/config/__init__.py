"""Every setting once: frozen dataclasses from which flags, YAML keys, help, checks and the saved record derive.

The text under a field is its help. A command's configuration inherits the groups that it needs, so that keys stay flat
(`--max-length`, `max_length:`) and a stage asks only for its own group.
"""

from spantune.config.commands import EvaluateConfig, PredictorConfig, RecommendConfig
from spantune.config.languages import rule_name
from spantune.config.serving import LimitsConfig, ServeConfig
from spantune.config.study import CompareConfig
from spantune.config.training import (
    AFTERWARDS,
    BOOKKEEPING,
    BUNDLED,
    DataConfig,
    DecodeConfig,
    Device,
    EncoderConfig,
    Labels,
    OptimiserConfig,
    Precision,
    ReadConfig,
    Rows,
    RunConfig,
    ScoringConfig,
    TrackingConfig,
    TrainConfig,
    WindowConfig,
)

__all__ = [
    "AFTERWARDS",
    "BOOKKEEPING",
    "BUNDLED",
    "CompareConfig",
    "DataConfig",
    "DecodeConfig",
    "Device",
    "EncoderConfig",
    "EvaluateConfig",
    "Labels",
    "LimitsConfig",
    "OptimiserConfig",
    "Precision",
    "PredictorConfig",
    "ReadConfig",
    "RecommendConfig",
    "ReportConfig",
    "Rows",
    "RunConfig",
    "ScoringConfig",
    "ServeConfig",
    "TrackingConfig",
    "TrainConfig",
    "WindowConfig",
    "rule_name",
]
