"""From the operator's arguments to runs of sequences of equal length."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hypermixer.ops.hypermixing.network import Network
from hypermixer.ops.hypermixing.plan import FORMS, Plan
from hypermixer.ops.hypermixing.run import Run
from hypermixer.ops.hypermixing.side import Side
from hypermixer.ops.hypermixing.weights import Hypernetwork
from hypermixer.ops.scratch import Scratch


class RunSpec(NamedTuple):
    """One run as the operator's schema can carry it: B sequences of N keys and M queries, and their plan."""

    batch: int
    keys: int
    queries: int
    form: int
    block: int
    chunk: int

    @classmethod
    def of(cls, batch: int, keys: int, queries: int, plan: Plan) -> "RunSpec":
        return cls(batch, keys, queries, FORMS.index(plan.form), plan.block, plan.chunk)

    @property
    def factored(self) -> bool:
        return FORMS[self.form] == "factored"


def specs(runs: Sequence[int]) -> list[RunSpec]:
    """From the operator's flat list."""
    return [RunSpec(*runs[i : i + len(RunSpec._fields)]) for i in range(0, len(runs), len(RunSpec._fields))]


class Place(NamedTuple):
    """Where a run's tokens stand, and its states."""

    spec: RunSpec
    sequences: slice
    keys: slice
    queries: slice
    states: slice


def places(runs: Sequence[int]) -> Iterator[Place]:
    sequence = key = query = state = 0
    for spec in specs(runs):
        ends = sequence + spec.batch, key + spec.batch * spec.keys, query + spec.batch * spec.queries
        end_state = state + (spec.batch if spec.factored else 0)
        yield Place(spec, slice(sequence, ends[0]), slice(key, ends[1]), slice(query, ends[2]), slice(state, end_state))
        (sequence, key, query), state = ends, end_state


class Inputs(NamedTuple):
    """How tokens are read, in the order of the operator's arguments."""

    query: Tensor | None
    key: Tensor
    value: Tensor | None
    query_positions: Tensor | None
    key_positions: Tensor | None
    query_keep: Tensor | None
    key_keep: Tensor | None
    divisor: Tensor | None
    scale: float

    def run(
        self, place: Place, net_key: Network, net_query: Network, pre_key: Tensor, pre_query: Tensor, scratch: Scratch
    ) -> Run:
        spec, heads = place.spec, net_key.weights.hidden_weight.shape[0]
        keep = _cut(self.key_keep, place.keys, spec.batch, spec.keys)
        width = self.key.shape[1]
        x = self.key[place.keys].view(spec.batch, spec.keys, width)
        key = Side("key", x, heads, keep, _codes(self.key_positions, place.keys, spec.batch, spec.keys), self.scale)
        value = key
        if self.value is not None or self.divisor is not None:
            values = x if self.value is None else self.value[place.keys].view_as(x)
            divisor = None if self.divisor is None else self.divisor[place.sequences]
            value = Side("value", values, heads, keep, divisor=divisor)
        query = key
        if self.query is not None:
            query = Side(
                "query", self.query[place.queries].view(spec.batch, spec.queries, width), heads,
                _cut(self.query_keep, place.queries, spec.batch, spec.queries),
                _codes(self.query_positions, place.queries, spec.batch, spec.queries), self.scale,
            )  # fmt: skip
        kept_key = pre_key[place.keys] if pre_key.dim() == 2 else None
        kept_query = pre_query[place.queries] if pre_query.dim() == 2 else kept_key
        return Run(key, value, query, net_key, net_query, kept_key, kept_query, spec.block, spec.chunk, scratch)


def _cut(keep: Tensor | None, rows: slice, batch: int, tokens: int) -> Tensor | None:
    return None if keep is None else keep[rows].view(batch, tokens)


def _codes(positions: Tensor | None, rows: slice, batch: int, tokens: int) -> Tensor | None:
    if positions is None or positions.dim() == 2:
        return positions
    return positions[rows].view(batch, tokens, positions.shape[2])


def pair_of_networks(*weights: Tensor | None) -> tuple[Hypernetwork, Hypernetwork | None]:
    """From the operator's eight arguments: the keys' network, and the queries' where it is another one."""
    key, query = weights[:4], weights[4:]
    return Hypernetwork(*key), None if query[0] is None else Hypernetwork(*query)  # pyright: ignore[reportArgumentType]


def networks(weights: tuple[Hypernetwork, Hypernetwork | None]) -> tuple[Network, Network]:
    key, query = weights
    net = Network(key)
    return net, net if query is None else Network(query)


def room_for_hidden(query: Tensor | None, key: Tensor, a2: Tensor | None, keep_hidden: bool) -> tuple[Tensor, Tensor]:
    pre_key = torch.empty_like(key) if keep_hidden else key.new_empty(0)
    if not keep_hidden or (query is None and a2 is None):
        return pre_key, key.new_empty(0)
    return pre_key, torch.empty_like(key if query is None else query)


def room_for_states(key: Tensor, a1: Tensor, runs: Sequence[int], kept: bool) -> tuple[Tensor, Tensor, Tensor]:
    """S', C' [H, B, D/H, R] and s0 [H, B, D/H] of the sequences in factored runs, or empty."""
    if not kept:
        return key.new_empty(0), key.new_empty(0), key.new_empty(0)
    heads, rank, width = a1.shape
    batch = sum(spec.batch for spec in specs(runs) if spec.factored)
    return (
        key.new_empty(heads, batch, width, rank),
        key.new_empty(heads, batch, width, rank),
        key.new_empty(heads, batch, width),
    )
