"""The one model class: encoder, method and span head with one forward pass.

Shapes: B batch, L tokens of a window, V virtual tokens before the input.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from spantune.errors import EncoderError, MethodError
from spantune.methods import Bottleneck, Method, Unfreeze, get, methods
from spantune.methods.architectures import Architecture
from spantune.methods.hook import Hook
from spantune.methods.registry import Injection
from spantune.modeling import bottleneck
from spantune.modeling.architecture_detection import architecture_of, max_positions, sends_segment_ids
from spantune.modeling.prompt_tokens import DeepPrefix, InputPrompt, virtual_tokens
from spantune.runs.manifest import Identity
from spantune.runs.record import ParameterCount

if TYPE_CHECKING:
    from peft import PromptLearningConfig
    from transformers import PreTrainedModel


class SpanLogits(NamedTuple):
    """Start and end scores of the window's own tokens, (B, L) each."""

    start: Tensor
    end: Tensor


class SpanModel(nn.Module):
    """An encoder, adapted by one method, that scores where an answer starts and ends.

    What PEFT's question-answering class gets wrong is right here: segment ids reach the encoder, virtual tokens are
    cropped from the logits (so labels point at the window's own tokens and "no answer" stays on its first token), and
    prefixes reach every layer without moving a position.
    """

    network: Any
    """The encoder with its head as transformers made it, or inside PEFT's wrapper."""
    shares_encoder = False
    """Other models use the same tensors (`modeling.shared_weights`), so none may be written to."""

    def __init__(
        self,
        network: nn.Module,
        identity: Identity,
        architecture: Architecture,
        virtual: DeepPrefix | InputPrompt | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.virtual = virtual
        self.identity = identity
        self.architecture = architecture
        self.hook = self.method.hook(network)

    @property
    def method(self) -> Method:
        return get(self.identity.method)

    @property
    def config(self) -> Any:
        """The encoder's configuration."""
        return self.network.config

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def reserved_positions(self) -> int:
        """Positions of the encoder that virtual tokens take."""
        return self.virtual.positions if self.virtual is not None else 0

    @property
    def max_length(self) -> int:
        """Longest window in tokens."""
        return max_positions(self.config, self.architecture) - self.reserved_positions

    @property
    def sends_segment_ids(self) -> bool:
        """Whether its windows carry segment ids."""
        return sends_segment_ids(self.config, self.architecture)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> SpanLogits:
        """Score every token of B windows.

        Args:
            input_ids: (B, L). attention_mask: (B, L), 0 on padding.
            token_type_ids: (B, L), 1 on the context; only where the encoder has segments.

        Returns:
            Logits (B, L), virtual tokens already cropped.
        """
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if self.virtual is not None:
            inputs = self.virtual.prepend(self.network, inputs)
        scored = self.network(**inputs)
        crop = self.reserved_positions
        return SpanLogits(scored.start_logits[:, crop:], scored.end_logits[:, crop:])

    def recompute_activations(self) -> None:
        """Keep only each layer's input for the backward pass (gradient checkpointing, Chen et al. 2016).

        Raises:
            EncoderError: transformers cannot do it in this family.
        """
        try:
            self.network.gradient_checkpointing_enable({"use_reentrant": False})
        except ValueError as error:
            raise EncoderError(
                f"this encoder ({self.architecture.model_type}) cannot compute its activations again",
                found=str(error),
                fix="leave --gradient-checkpointing out; a smaller --batch-size saves memory, too",
            ) from error

    def count_parameters(self) -> ParameterCount:
        """Trainable and all parameters, counted on the model itself."""
        # PEFT keeps the head as it was beside the one that learns; it is never used.
        weights = [(name, weight) for name, weight in self.named_parameters() if ".original_module." not in name]
        learning = [(name, weight.numel()) for name, weight in weights if weight.requires_grad]
        return ParameterCount(
            trainable=sum(size for _, size in learning),
            total=sum(weight.numel() for _, weight in weights),
            head=sum(size for name, size in learning if self.architecture.is_head(self.plain_name(name))),
        )

    def plain_name(self, parameter: str) -> str:
        """A parameter's name as the unadapted network has it, without this model's and PEFT's wrappers."""
        return parameter.removeprefix("network.").removeprefix("base_model.model.").replace(".base_layer.", ".")

    @property
    def is_plain(self) -> bool:
        """Whether nothing was put into the encoder: the method only chose what learns."""
        inserted = any(isinstance(module, bottleneck.BottleneckAdapter) for module in self.network.modules())
        return not inserted and self.virtual is None and not hasattr(self.network, "peft_config")

    def merge(self) -> SpanModel:
        """Fold the adapter into the encoder's weights, in place; same logits, no extra cost afterwards.

        Raises:
            MethodError: the method's arithmetic cannot be folded into the weights.
        """
        if not self.method.mergeable:
            raise MethodError(
                f"{self.method.label} cannot be merged into the encoder's weights",
                expected=f"a mergeable method: {', '.join(name for name, row in methods().items() if row.mergeable)}",
            )
        if self.shares_encoder:
            for name, weight in self.named_parameters():
                if ".base_layer." in name:
                    weight.data = weight.data.clone()
        if hasattr(self.network, "merge_and_unload"):
            self.network = self.network.merge_and_unload()
            self.hook = Hook(self.network)  # the method's own would keep its adapter in memory
        return self


def adapt(network: PreTrainedModel, identity: Identity, injection: Injection) -> SpanModel:
    """Carry out what a method asked for on a pretrained network, and freeze the rest.

    Raises:
        MethodError: nothing but the span head would learn where the method promises more, or nothing is left to read.
    """
    row = architecture_of(network)
    if isinstance(injection, Unfreeze):
        if not _unfreeze(network, row, injection.pattern) and injection.what:
            raise MethodError(
                f"{get(identity.method).label} finds nothing to train in this encoder ({row.model_type})",
                expected=f"{injection.what} outside the span head",
                found="none",
                fix="choose another method, or another encoder",
            )
        return SpanModel(network, identity, row)
    if isinstance(injection, Bottleneck):
        _unfreeze(network, row)
        bottleneck.insert(network, injection)
        return SpanModel(network, identity, row)
    if injection.is_prompt_learning:
        _unfreeze(network, row)
        virtual = virtual_tokens(cast("PromptLearningConfig", injection), network)
        return SpanModel(network, identity, row, virtual)
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    from spantune.modeling.kernels import fused_lora, fused_lycoris

    injection.modules_to_save = list(row.heads)  # type: ignore[attr-defined]
    # No task type: PEFT's own question-answering class would drop the segment ids; its plain class passes them on.
    adapted = PeftModel(network, injection)
    for module in adapted.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            # Weights are fp32 here, and autocast chooses the arithmetic: casting its bf16 back to fp32 only costs time.
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]
        if isinstance(module, BaseTunerLayer):
            module.register_forward_hook(_in_the_type_of_autocast)
    fused_lora.fuse(adapted)
    fused_lycoris.fuse(adapted)
    return SpanModel(adapted, identity, row)


def _in_the_type_of_autocast(layer: nn.Module, inputs: Any, made: Tensor) -> Tensor:
    """As the plain layer's: several of PEFT's add up in fp32, and DeBERTa's attention takes no mixture of types."""
    kind = made.device.type
    active = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)  # the meta device has none
    return made.to(torch.get_autocast_dtype(kind)) if active else made


def _unfreeze(network: PreTrainedModel, row: Architecture, pattern: str = "(?!)") -> int:
    """Only parameters whose name matches, and the head, learn; how many tensors outside the head match."""
    matched = 0
    for name, weight in network.named_parameters():
        in_head, wanted = row.is_head(name), re.fullmatch(pattern, name) is not None
        weight.requires_grad = in_head or wanted
        matched += wanted and not in_head
    return matched
