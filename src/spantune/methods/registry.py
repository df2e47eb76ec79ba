"""The only list of methods. A method is one function under `@method(...)` in one file of this folder.

The function receives its typed options and the encoder's shape and says what to inject:

- a PEFT configuration: PEFT injects it (reparametrisation, rescaling) or `modeling` carries it out (virtual tokens);
- `Unfreeze(pattern)`: existing parameters learn, nothing is added;
- `Bottleneck(pattern, ...)`: small networks after layers, which PEFT does not have.

This module imports neither torch nor peft; a method's function imports what it needs when it is called.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from spantune.errors import MethodError, did_you_mean
from spantune.methods.architectures import EncoderShape
from spantune.methods.hook import Hook

if TYPE_CHECKING:
    from peft import PeftConfig

Family = Literal["reference", "selective", "reparametrisation", "rescaling", "adapter", "prompt"]
"""In the order in which methods are listed. `selective`: some of the encoder's own parameters learn."""


@dataclass(frozen=True)
class Unfreeze:
    """Train the existing parameters whose full name matches `pattern` (regular expression, fullmatch), and the head.

    `what` says what they are, for the message where an encoder has none; empty: there need not be any.
    """

    pattern: str
    what: str = ""


@dataclass(frozen=True)
class Bottleneck:
    """Put a small network, `x + up(act(down(x)))`, after each layer whose full name matches `pattern`.

    Attributes:
        size: inner width. activation: a name of `transformers.activations`, such as `relu` or `gelu`.
    """

    pattern: str
    size: int
    activation: str


Injection: TypeAlias = "PeftConfig | Unfreeze | Bottleneck"


@dataclass(frozen=True)
class NoOptions:
    """A method without options of its own."""


@dataclass(frozen=True)
class Method:
    """A method's declared traits; everything outside this folder asks these and never the name.

    Attributes:
        learning_rate: default peak rate; `grid`: the rates that a sweep tries.
        mergeable: the adapter can be folded into the encoder's weights without changing a logit.
        hook: what it does besides the forward pass; called with the adapted network.
        whole_encoder: every parameter may change, so the whole model is saved, not an adapter.
        low_rank: its update of a weight is one product of two matrices (`modeling.warm_start`).
        reads_weights: its layers compute with the encoder's weights themselves, not only with what comes out of them.
    """

    name: str
    label: str
    family: Family
    summary: str
    paper: str
    learning_rate: float
    grid: tuple[float, ...]
    options: type[Any]
    inject: Callable[[Any, EncoderShape], Injection]
    mergeable: bool = False
    whole_encoder: bool = False
    low_rank: bool = False
    reads_weights: bool = False
    hook: Callable[[Any], Hook] = Hook

    @property
    def adds_nothing(self) -> bool:
        """Whether an untrained model of this method is the encoder as it is, with its span head."""
        return self.family in ("reference", "selective")

    def resolve(self, given: Mapping[str, Any]) -> Any:
        """The options with the given values in place of defaults; MethodError for unknown names and bad values."""
        known = [field.name for field in dataclasses.fields(self.options)]
        values = {key.replace("-", "_"): value for key, value in given.items()}
        unknown = [f"{key!r}: {did_you_mean(key, known)}" for key in values if key not in known]
        if unknown:
            raise MethodError(f"{self.name} has no such option:\n  " + "\n  ".join(unknown))
        try:
            hints = get_type_hints(self.options)
            for key, value in values.items():
                _require_type(key, value, hints[key])
            return self.options(**values)
        except (TypeError, ValueError) as error:
            raise MethodError(f"the options of {self.name} are not valid: {error}", found=str(dict(given))) from error


def _require_type(key: str, value: Any, hint: Any) -> None:
    """ValueError if a value is not one of a `Literal`'s choices or not of the option's type; an int passes as float."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{key}: expected {' or '.join(map(repr, get_args(hint)))}, found {value!r}")
        return
    kinds = (int, float) if hint is float else hint
    if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{key}: expected {hint.__name__}, found {value!r}")


_METHODS: dict[str, Method] = {}


def method(
    name: str, **traits: Any
) -> Callable[[Callable[[Any, EncoderShape], Injection]], Callable[[Any, EncoderShape], Injection]]:
    """Register the decorated function as a method; its docstring's first line is the summary."""

    def register(inject: Callable[[Any, EncoderShape], Injection]) -> Callable[[Any, EncoderShape], Injection]:
        if name in _METHODS:
            raise ValueError(f"two methods are called {name!r}")
        summary = (inject.__doc__ or "").strip().splitlines()[0].rstrip(".")
        traits.setdefault("options", NoOptions)
        made = Method(name=name, summary=summary, inject=inject, **traits)
        if made.learning_rate not in made.grid:
            raise ValueError(f"{name}: the default learning rate is not on its grid")
        _METHODS[name] = made
        return inject

    return register


@cache
def methods() -> Mapping[str, Method]:
    """All methods by name: reference points first, then family by family, in a family by name."""
    import spantune.methods as room

    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
    families = get_args(Family)
    return dict(sorted(_METHODS.items(), key=lambda item: (families.index(item[1].family), item[0])))


def get(name: str) -> Method:
    """The method of that name; MethodError with the nearest name if there is none."""
    known = methods()
    if name not in known:
        raise MethodError(f"there is no method {name!r}", found=name, fix=did_you_mean(name, known))
    return known[name]
