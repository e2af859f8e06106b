"""The separation rank of a network: how many products u(x_A) v(x_B) it takes to write it as their sum.

Its value at M random inputs of either side is a matrix [M, M] of that rank, if M is large enough. Modulo p the rank can
only come out too small, which a minor that is not zero decides: with a probability of at most rank * degree / p, where
the degree is that in input and weights.
"""

import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypermixer.cores import cores
from hypermixer.errors import InputError, WorkError, nearest
from hypermixer.expressivity.blocks import LEAST_PRIME, Block, block_plan, block_ranks
from hypermixer.expressivity.bounds import Bounds, bounds
from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Field
from hypermixer.expressivity.forward import network
from hypermixer.expressivity.grid import Watch, grid, inputs_at_once, templates
from hypermixer.expressivity.rank import rank
from hypermixer.expressivity.spec import METHODS, PolyMixerSpec, total_degree, whole_number

#: Templates beyond the upper bound: a rank that reaches the bound is seen not to be cut off.
MARGIN = 8
#: Bytes that a computation may take unless it is forced.
MEMORY = 6 * 2**30
#: Templates of a grid when none are asked for: more would take long; larger ranks are told as at least so much.
_MOST = 8192


@dataclass(frozen=True)
class SeparationRank:
    """A rank, and how it was found.

    Attributes:
        spec: of the network.
        rank: exact, or a lower bound where `saturated`.
        saturated: whether the rank is that of all templates: the true one may be larger.
        templates: of either side.
        bounds: upper and lower.
        prime: modulo which it was found.
        seed: of weights, templates and a random permutation.
        method: `whole`, one matrix, or `blocks`, one for each degree in the second side's input.
        blocks: of the latter.
        second: what a second prime gave; None where it was not asked.
        doubt: at most the probability that chance made the rank too small; 0 where it attains its upper bound.
        seconds: of wall time.
    """

    spec: PolyMixerSpec
    rank: int
    saturated: bool
    templates: int
    bounds: Bounds
    prime: int
    seed: int
    method: str
    blocks: tuple[Block, ...] = field(default=())
    second: int | None = None
    doubt: float = 0.0
    seconds: float = 0.0

    @property
    def upper(self) -> int:
        return self.bounds.upper.value

    @property
    def lower(self) -> int:
        return self.bounds.lower.value

    @property
    def told(self) -> str:
        """The rank in words: ">= M" where it is only known to be so large."""
        return f">= {self.rank:,}" if self.saturated or self.too_small else f"{self.rank:,}"

    @property
    def too_small(self) -> bool:
        """Whether it is below what is proved of almost all real weights: the prime is too small for this network."""
        return not self.saturated and self.rank < self.lower

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; counts beyond 2^53 are still integers there."""
        return {
            "spec": self.spec.as_dict(), "rank": self.rank, "saturated": self.saturated, "too_small": self.too_small,
            "upper": self.upper,
            "lower": self.lower, "templates": self.templates, "prime": self.prime, "seed": self.seed,
            "partition": [list(side) for side in self.spec.sides], "method": self.method, "second": self.second,
            "doubt": self.doubt, "seconds": self.seconds, "blocks": [block.as_dict() for block in self.blocks],
        }  # fmt: skip


def separation_rank(
    spec: PolyMixerSpec,
    *,
    count: int | None = None,
    prime: int = PRIME,
    seed: int = 0,
    method: str = "auto",
    second_prime: bool = False,
    force: bool = False,
    watch: Watch | None = None,
) -> SeparationRank:
    """The separation rank of a network with random weights: that of almost all real weights, or less.

    Args:
        spec: of the network.
        count: templates of either side; None: a few more than the upper bound, 8,192 at most.
        prime: modulus, below 2^31.
        seed: of weights and templates.
        method: `whole`, `blocks` (larger ranks; only for a spec that is `homogeneous`) or `auto`, the quicker one.
        second_prime: do it again modulo another prime; the larger rank counts.
        force: go on where more than 6 GiB of memory are needed.
        watch: told of inputs evaluated and inputs in all.

    Raises:
        InputError: a count below 1, a modulus that is no prime, a method that does not suit, too much memory.
        WorkError: a rank above its upper bound: an error of this program.
    """
    start = time.perf_counter()
    count = None if count is None else whole_number("templates", count, 1)
    seed, prime = whole_number("seed", seed, 0), Field(prime).p
    known = bounds(spec)
    chosen = _method(spec, method, count, prime)
    plan = block_plan(spec, count, MARGIN) if chosen == "blocks" else ()
    size = count or (max(block.templates for block in plan) if plan else min(known.upper.value + MARGIN, _MOST))
    require_memory(memory(size, len(plan) or 1, spec), force)
    primes = (prime, SECOND_PRIME if prime != SECOND_PRIME else PRIME) if second_prime else (prime,)
    found: list[tuple[int, int, tuple[Block, ...]]] = []
    for p in primes:
        net = network(spec, Field(p), seed)
        first, second = templates(spec, net.field, size, seed)
        if plan:
            blocks = block_ranks(net, spec, net.field, plan, first, second, watch)
            found.append((sum(block.rank for block in blocks), p, blocks))
        else:
            found.append((rank(net.field, grid(net, spec, first, second, watch)), p, ()))
    best, its_prime, blocks = max(found, key=lambda one: one[0])
    check_bound(best, known.upper.value)
    cut_off = any(block.saturated for block in blocks) if plan else best == size
    return SeparationRank(
        spec, best, cut_off and best < known.upper.value, size, known, its_prime, seed, chosen, blocks,
        found[1][0] if second_prime else None, _doubt(spec, best, known, its_prime), time.perf_counter() - start,
    )  # fmt: skip


def check_bound(found: int, upper: int) -> None:
    """
    Raises:
        WorkError: a rank above what is proved.
    """
    if found > upper:
        raise WorkError(
            f"Internal error: a rank of {found} was found, and at most {upper} is possible; please report it."
        )


def _doubt(spec: PolyMixerSpec, found: int, known: Bounds, prime: int) -> float:
    """At most the probability that a rank is larger than was found, by the lemma of Schwartz and Zippel."""
    upper = known.upper.value
    return 0.0 if found == upper else float(min(1, Fraction(upper * total_degree(spec), prime)))


def memory(count: int, points: int, spec: PolyMixerSpec, words: int | None = None) -> int:
    """Bytes that so many templates take: themselves, what evaluates them, the grids, and what elimination copies."""
    inputs = count * spec.tokens * spec.width * (2 if points > 1 else 1)
    evaluated = cores() * inputs_at_once(words or spec.words) * (words or spec.words) * 2
    grids = count * count * (points + (4 if points == 1 else 3))
    return 8 * (inputs + evaluated + grids)


def require_memory(needed: int, force: bool, *, forcible: bool = True) -> None:
    """
    Raises:
        InputError: it is more than `MEMORY`, and nobody insists, or can.
    """
    if needed > MEMORY and not force:
        raise InputError(
            f"This takes about {needed / 2**30:,.1f} GiB of memory, above the limit of {MEMORY // 2**30} GiB: take"
            f" fewer templates, for a lower bound, or a smaller size{', or --force' if forcible else ''}."
        )


def _method(spec: PolyMixerSpec, method: str, count: int | None, prime: int) -> str:
    if method not in METHODS:
        raise InputError(f"Unknown method '{method}': {nearest(str(method), METHODS)}")
    obstacle = ""
    if not spec.homogeneous:
        obstacle = "a network without residual connections and positions"
    elif prime < LEAST_PRIME:
        obstacle = f"a prime of at least {LEAST_PRIME}"
    if method == "blocks" and obstacle:
        raise InputError(f"method='blocks' needs {obstacle}.")
    if method != "auto" or obstacle:
        return "whole" if obstacle else method
    whole = min(count or bounds(spec).upper.value + MARGIN, _MOST)
    plan = block_plan(spec, count, MARGIN)
    largest = max(block.templates for block in plan)
    return "blocks" if len(plan) * largest**2 < whole**2 and count is None else "whole"
