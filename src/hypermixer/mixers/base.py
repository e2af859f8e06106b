"""What a token mixer is: one interface."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from hypermixer.errors import InputError, nearest
from hypermixer.kinds import check_kinds
from hypermixer.mixers.sequences import Sequences

Positions = Literal["own", "input", "none"]


class TokenMixer(nn.Module, ABC):
    """Mixes information across the tokens of each sequence.

    A subclass holds a frozen dataclass `Config` of its own options, and says where its positions come from: `own`
    (inside), `input` (the encoder adds sinusoids to the embeddings) or `none` (order of tokens reaches nothing).

    Attributes:
        max_length: the most tokens a sequence may have; None: any number.
        tags: `linear_cost`, `fixed_length`, `local` (a token reaches none that is far away), `no_mixing`, and `heads`
            and `d_hidden` for options of that name. `contract.verify` holds a mixer to them.
        cost: multiply-adds of the products for one sequence of N tokens, as a formula in N, D and letters of its own.
        source: where the mixer comes from: title, number, equation.
    """

    Config: ClassVar[type]
    positions: Positions
    tags: ClassVar[frozenset[str]] = frozenset()
    #: Whether packed batches are mixed as they are, and not `through_padding`.
    packs: ClassVar[bool] = False
    cost: ClassVar[str]
    source: ClassVar[str]
    max_length: int | None = None

    def __init__(self, config: Any, *, d_model: int) -> None:
        super().__init__()
        self.config, self.d_model = config, d_model

    @abstractmethod
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        """x [B, N, D], or [tokens, D] packed -> the same shape, zero at dropped positions.

        What x holds at dropped positions reaches nothing. A mixer that has no packed form of its own calls
        `sequences.through_padding`.
        """

    @abstractmethod
    def flops(self, tokens: int) -> int:
        """Floating-point operations (two per multiply-add) of the matrix products for one sequence of `tokens`."""

    @abstractmethod
    def state_size(self, tokens: int) -> int:
        """Numbers that carry information between tokens for one sequence: what a stream has to hold."""


def longest_of(module: nn.Module) -> int | None:
    """The most tokens that all mixers inside a module take; None: any number."""
    lengths = [m.max_length for m in module.modules() if isinstance(m, TokenMixer) and m.max_length is not None]
    return min(lengths, default=None)


def strict_options(config: type, options: Mapping[str, Any], owner: str) -> Any:
    """`config(**options)`, refusing unknown names and values of the wrong kind.

    Raises:
        InputError: an option that `config` does not have, or of another kind than its field.
    """
    known = [f.name for f in fields(config)]
    for name in options:
        if name not in known:
            raise InputError(f"Mixer '{owner}' has no option '{name}': {nearest(name, known) or 'it has none'}")
    made = config(**options)
    try:
        check_kinds(made)
    except InputError as error:
        raise InputError(f"Mixer '{owner}': {error}") from None
    return made


#: Of any one size of a layer: far beyond what is of use, and small enough for products of sizes to stay in 64 bits.
_MOST = 2**20


def check_sizes(**sizes: int) -> None:
    """Raises InputError where one of the named sizes is not positive, or beyond what a layer can hold."""
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} must be at least 1, got {size}.")
        if size > _MOST:
            raise InputError(f"{name} must be at most {_MOST:,}, got {size}.")


def check_heads(num_heads: int, **widths: int) -> None:
    """Raises InputError where `num_heads` is not positive or does not divide one of the named widths."""
    check_sizes(num_heads=num_heads, **widths)
    for name, width in widths.items():
        if width % num_heads:
            raise InputError(f"num_heads={num_heads} does not divide {name}={width}.")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises InputError where the value of the named option is none of the choices."""
    if value not in choices:
        raise InputError(f"Unknown {name} '{value}': {nearest(value, choices)}")


def hidden_size(d_hidden: int | None, default: int, *, parts: int = 1) -> int:
    """K: `d_hidden`, or where it is None the default.

    Raises:
        InputError: below 1, or not a multiple of `parts`.
    """
    size = default if d_hidden is None else d_hidden
    check_sizes(d_hidden=size)
    if size % parts:
        raise InputError(f"d_hidden must be a multiple of {parts}, got {size}.")
    return size
