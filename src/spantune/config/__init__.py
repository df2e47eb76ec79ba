"""Every setting once: frozen dataclasses from which flags, YAML keys, help, checks and the saved record derive.

The text under a field is its help. A command's configuration inherits the groups that it needs, so that keys stay flat
(`--max-length`, `max_length:`) and a stage asks only for its own group.
"""

from spantune.config.commands import (
    AskConfig,
    DoctorConfig,
    EvaluateConfig,
    MethodsConfig,
    PredictConfig,
    PredictorConfig,
    RecommendConfig,
    ReportConfig,
    ScoreConfig,
    ZooConfig,
)
from spantune.config.languages import LANGUAGES, LANGUAGES_OF_SCRIPT, rule_name
from spantune.config.serving import LimitsConfig, ServeConfig, is_loopback
from spantune.config.study import CompareConfig
from spantune.config.training import (
    AFTERWARDS,
    BOOKKEEPING,
    BUNDLED,
    DataConfig,
    DecodeConfig,
    Device,
    DeviceConfig,
    EncoderConfig,
    Labels,
    OptimiserConfig,
    Precision,
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
    "LANGUAGES",
    "LANGUAGES_OF_SCRIPT",
    "AskConfig",
    "CompareConfig",
    "DataConfig",
    "DecodeConfig",
    "Device",
    "DeviceConfig",
    "DoctorConfig",
    "EncoderConfig",
    "EvaluateConfig",
    "Labels",
    "LimitsConfig",
    "MethodsConfig",
    "OptimiserConfig",
    "Precision",
    "PredictConfig",
    "PredictorConfig",
    "RecommendConfig",
    "ReportConfig",
    "RunConfig",
    "ScoreConfig",
    "ScoringConfig",
    "ServeConfig",
    "TrackingConfig",
    "TrainConfig",
    "WindowConfig",
    "ZooConfig",
    "is_loopback",
    "rule_name",
]
