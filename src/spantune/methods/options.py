"""What the options of several methods share. An options class calls `require` in `__post_init__`."""

from __future__ import annotations

from spantune.errors import MethodError, nearest
from spantune.methods.architectures import LINEAR, TARGETS, EncoderShape


def require(ok: bool, name: str, expected: str, found: object) -> None:
    """ValueError with what was expected and found; the registry turns it into the user's message."""
    if not ok:
        raise ValueError(f"{name}: expected {expected}, found {found!r}")


def require_rank(rank: int, alpha: float, dropout: float = 0.0) -> None:
    """The ranges that every low-rank method shares."""
    require(1 <= rank <= 1024, "rank", "1 to 1024", rank)
    require(alpha > 0, "alpha", "above 0", alpha)
    require(0 <= dropout < 1, "dropout", "0 to below 1", dropout)


def target_layers(targets: str, encoder: EncoderShape, *, rank: int | None = None) -> str:
    """Regular expression of the layers that `targets` names, for PEFT's fullmatch.

    Args:
        targets: a key of `TARGETS`, or names separated by commas: roles (`query,ffn_in`), or the encoder's own names of
            linear layers, whole or their end, as PEFT takes them (`q_lin`).
        rank: of the update, where it must not exceed the narrowest of these layers.

    Raises:
        MethodError: a name matches no layer, or the rank is larger than a layer is wide.
    """
    chosen = target_paths(targets, encoder)
    narrowest = min(min(encoder.linears[path]) for path in chosen)
    if rank is not None and rank > narrowest:
        raise MethodError(
            "the rank is larger than the layers are wide",
            where="rank",
            expected=f"1 to {narrowest}",
            found=str(rank),
            fix="a smaller rank, or other targets",
        )
    return encoder.architecture.at(chosen)


def target_paths(targets: str, encoder: EncoderShape) -> list[str]:
    """The keys of `encoder.linears` that `targets` names, each once; see `target_layers`."""
    return list(dict.fromkeys(path for name in targets.split(",") for path in _named(name.strip(), encoder)))


def _named(name: str, encoder: EncoderShape) -> list[str]:
    """The paths in one layer that a preset, a role or a module's name means."""
    row = encoder.architecture
    roles = TARGETS.get(name, (name,) if name in LINEAR else ())
    if roles:
        return [path for role in roles for path in getattr(row, role).split("|")]
    paths = [path for path in encoder.linears if path == name or path.endswith(f".{name}")]
    if not paths:
        meant = nearest(name, [*TARGETS, *LINEAR, *encoder.linears])
        raise MethodError(
            f"no layer of this encoder ({row.model_type}) is called {name!r}",
            where="targets",
            expected=f"{', '.join(TARGETS)}; or of {', '.join(LINEAR)}; or of {', '.join(encoder.linears)}",
            found=repr(name),
            fix=f"did you mean {meant!r}?" if meant else "name one of these, or several with commas between them",
        )
    return paths
