"""Both forms as one operator of torch.library: torch.compile takes it whole, and the FLOP counter knows it.

The backward pass gets the inputs, the hypernetworks' hidden layers before the GELU, and the states of long sequences;
no generated weights and no hidden activation [K/H, D/H] are kept.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from hypermixer.ops.hypermixing import direct, factored
from hypermixer.ops.hypermixing import native as kernels
from hypermixer.ops.hypermixing.inputs import (
    Inputs,
    networks,
    pair_of_networks,
    places,
    room_for_hidden,
    room_for_states,
    specs,
)
from hypermixer.ops.hypermixing.plan import FORMS, Shape
from hypermixer.ops.scratch import working_memory

#: What the forward pass hands to the backward pass, and how many of the arguments that follow have a gradient.
_KEPT, _WITH_GRADIENT = 5, 11


@torch.library.custom_op("hypermixer::mixing", mutates_args=())
def mixing(
    query: Tensor | None, key: Tensor, value: Tensor | None,
    a1: Tensor, a1_bias: Tensor | None, b1: Tensor, b1_bias: Tensor | None,
    a2: Tensor | None, a2_bias: Tensor | None, b2: Tensor | None, b2_bias: Tensor | None,
    query_positions: Tensor | None, key_positions: Tensor | None,
    query_keep: Tensor | None, key_keep: Tensor | None, divisor: Tensor | None,
    scale: float, runs: Sequence[int], keep_hidden: bool, native: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Tokens in the order of their runs [tokens, D] -> y [tokens, D], and what the backward pass needs.

    Args:
        query: None: the keys.
        value: None: the keys.
        a1, b1: first and second layer of the keys' network, with biases or without.
        a2, b2: those of the queries' network; None: tied.
        query_positions: [N, D], or [tokens, 1, D] where they differ between sequences.
        key_positions: likewise.
        query_keep: [tokens] bool.
        key_keep: [tokens] bool.
        divisor: [B] over all sequences: values are read divided by it.
        scale: of the tokens in the networks' input.
        runs: flat list of `RunSpec`.
        keep_hidden: whether there will be a backward pass.
        native: by the compiled kernels.

    Returns:
        y, hidden layers before the GELU of keys and queries [tokens, D] (dense: heads first within a run), states S'
        and C' [H, B, D/H, R] (native: S and C) and s0 [H, B, D/H] of factored sequences; empty where not kept.
    """
    tokens = Inputs(query, key, value, query_positions, key_positions, query_keep, key_keep, divisor, scale)
    weights = pair_of_networks(a1, a1_bias, b1, b1_bias, a2, a2_bias, b2, b2_bias)
    y = torch.empty_like(key if query is None else query)
    pre_key, pre_query = room_for_hidden(query, key, a2, keep_hidden)
    s, c, s0 = room_for_states(key, a1, runs, keep_hidden)
    if native:
        kernels.forward(tokens, weights, y, (pre_key, pre_query), (s, c, s0), runs)
        return y, pre_key, pre_query, s, c, s0
    net_key, net_query = networks(weights)
    with working_memory(key) as scratch:
        for place in places(runs):
            run = tokens.run(place, net_key, net_query, pre_key, pre_query, scratch)
            out = y[place.queries].view(run.batch, run.queries, run.width)
            if place.spec.factored:
                at, kept = place.states, None
                if keep_hidden:
                    kept = factored.States(s[:, at], c[:, at], s0[:, at], torch.empty_like(s0[:, at]))
                factored.forward(run, out, kept)
            else:
                direct.forward(run, out)
    return y, pre_key, pre_query, s, c, s0


@mixing.register_fake
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    (query, key, _, a1), a2, (runs, keep_hidden, _) = arguments[:4], arguments[7], arguments[-3:]
    pre_key, pre_query = room_for_hidden(query, key, a2, keep_hidden)
    states = room_for_states(key, a1, runs, keep_hidden)
    return torch.empty_like(key if query is None else query), pre_key, pre_query, *states


@torch.library.custom_op("hypermixer::mixing_backward", mutates_args=())
def mixing_backward(
    grad: Tensor, pre_key: Tensor, pre_query: Tensor, s: Tensor, c: Tensor, s0: Tensor,
    query: Tensor | None, key: Tensor, value: Tensor | None,
    a1: Tensor, a1_bias: Tensor | None, b1: Tensor, b1_bias: Tensor | None,
    a2: Tensor | None, a2_bias: Tensor | None, b2: Tensor | None, b2_bias: Tensor | None,
    query_positions: Tensor | None, key_positions: Tensor | None,
    query_keep: Tensor | None, key_keep: Tensor | None, divisor: Tensor | None,
    scale: float, runs: Sequence[int], native: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key, value and the eight weights, in their order; empty for what was None."""
    tokens = Inputs(query, key, value, query_positions, key_positions, query_keep, key_keep, divisor, scale)
    weights = pair_of_networks(a1, a1_bias, b1, b1_bias, a2, a2_bias, b2, b2_bias)
    d_key = torch.empty_like(key)
    d_query = d_key if query is None else torch.empty_like(query)
    d_value = d_key if value is None else torch.empty_like(value)

    def absent() -> Tensor:
        return key.new_empty(0)

    of_tokens = absent() if query is None else d_query, d_key, absent() if value is None else d_value
    if native:
        of_weights = kernels.backward(tokens, weights, grad, (pre_key, pre_query), (s, c, s0), of_tokens, runs)
        return (*of_tokens, *of_weights)  # pyright: ignore[reportReturnType] - eight weights
    net_key, net_query = networks(weights)
    net_key.begin_sums()
    if net_query is not net_key:
        net_query.begin_sums()
    with working_memory(key) as scratch:
        for place in places(runs):
            run = tokens.run(place, net_key, net_query, pre_key, pre_query, scratch)
            of_queries, of_keys = (run.batch, run.queries, run.width), (run.batch, run.keys, run.width)
            upper, d_run_query = grad[place.queries].view(of_queries), d_query[place.queries].view(of_queries)
            d_run_key, d_run_value = d_key[place.keys].view(of_keys), d_value[place.keys].view(of_keys)
            if place.spec.factored:
                at = place.states
                factored.backward(run, upper, s[:, at], c[:, at], s0[:, at], d_run_query, d_run_key, d_run_value)
            else:
                direct.backward(run, upper, d_run_query, d_run_key, d_run_value)
    second = [absent() for _ in range(4)] if net_query is net_key else net_query.gradients()
    return (*of_tokens, *net_key.gradients(), *second)  # pyright: ignore[reportReturnType] - the lists hold four each


@mixing_backward.register_fake
def _(*arguments: Any) -> tuple[Tensor, ...]:
    inputs = arguments[1 + _KEPT :][:_WITH_GRADIENT]  # after the gradient and what was kept
    like = inputs[1]
    return tuple(like.new_empty(0) if t is None else torch.empty_like(t) for t in inputs)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.scale, ctx.runs, _, ctx.native = inputs
    _, *kept = output
    ctx.save_for_backward(*kept, *tensors)
    ctx.mark_non_differentiable(*kept)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors
    kept, tensors = saved[:_KEPT], saved[_KEPT:]
    others = (None,) * (len(tensors) - _WITH_GRADIENT + 4)
    if grad is None:
        return (*(None,) * _WITH_GRADIENT, *others)
    gradients = mixing_backward(grad.contiguous(), *kept, *tensors, ctx.scale, ctx.runs, ctx.native)
    given = [None if t is None else g for t, g in zip(tensors[:_WITH_GRADIENT], gradients, strict=True)]
    return (*given, *others)


mixing.register_autograd(_backward, setup_context=_setup)


# --- FLOPs: two for each multiply-add of the matrix products --------------------------------------------------------


def _flops(query: Any, key: Any, b1: Any, b1_bias: Any, a2: Any, runs: Sequence[int], backward: bool) -> int:
    heads, per_head, rank = b1
    width, total = key[-1], 0
    for spec in specs(runs):
        tied = query is None and a2 is None
        shape = Shape(spec.batch, spec.keys, spec.queries, width, heads * per_head, heads, tied)
        form = FORMS[spec.form]
        one = shape.multiply_adds_backward(form) if backward else shape.multiply_adds(form)
        if spec.factored and b1_bias is not None:
            one += (5 if backward else 2) * heads * per_head * rank
        total += 2 * spec.batch * one
    return total


@register_flop_formula(torch.ops.hypermixer.mixing)
def _(
    query: Any, key: Any, value: Any, a1: Any, a1_bias: Any, b1: Any, b1_bias: Any, a2: Any, *rest: Any, **_: Any
) -> int:
    return _flops(query, key, b1, b1_bias, a2, rest[-3], backward=False)


@register_flop_formula(torch.ops.hypermixer.mixing_backward)
def _(
    grad: Any, pre_key: Any, pre_query: Any, s: Any, c: Any, s0: Any, query: Any, key: Any, value: Any, a1: Any,
    a1_bias: Any, b1: Any, b1_bias: Any, a2: Any, *rest: Any, **_: Any,
) -> int:  # fmt: skip
    return _flops(query, key, b1, b1_bias, a2, rest[-2], backward=True)
