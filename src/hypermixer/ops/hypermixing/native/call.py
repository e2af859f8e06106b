"""From tensors to the structures that `call.h` declares."""

import ctypes
from array import array
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_float, c_int, c_int64, c_void_p
from functools import cache

import torch
from torch import Tensor

from hypermixer.ops.hypermixing.inputs import Inputs, specs
from hypermixer.ops.hypermixing.native.build import library
from hypermixer.ops.hypermixing.weights import Hypernetwork

DTYPES = {torch.float32: 0, torch.bfloat16: 1}

#: Where an empty tensor stands: a null pointer stands for None.
_NOWHERE = 1


class _Network(Structure):
    _fields_ = [
        (name, c_void_p)
        for name in ("hidden", "hidden_bias", "out", "out_bias", "d_hidden", "d_hidden_bias", "d_out", "d_out_bias")
    ]


class _Side(Structure):
    _fields_ = [
        ("x", c_void_p), ("keep", c_void_p), ("positions", c_void_p), ("positions_each", c_int64), ("pre", c_void_p),
        ("grad", c_void_p),
    ]  # fmt: skip


class _Call(Structure):
    _fields_ = [
        *((name, c_int64) for name in (
            "dtype", "threads", "width", "heads", "hidden", "tied", "run_count", "state_count", "backward",
        )),
        ("scale", c_float), ("runs", c_void_p), ("key", _Side), ("query", _Side), ("value", _Side),
        ("divisor", c_void_p), ("key_net", _Network), ("query_net", _Network),
        *((name, c_void_p) for name in ("y", "s", "c", "s0")),
    ]  # fmt: skip


class _Norm(Structure):
    _fields_ = [
        *((name, c_int64) for name in ("dtype", "threads", "rows", "width")), ("eps", c_float),
        *((name, c_void_p) for name in ("x", "weight", "bias", "y", "d_x", "d_weight", "d_bias")),
    ]  # fmt: skip


@cache
def functions() -> ctypes.CDLL:
    """The library with its interface declared.

    Raises:
        NotBuilt: there is none.
    """
    loaded = library()
    loaded.hypermixer_mixing.argtypes = [POINTER(_Call)]
    loaded.hypermixer_mixing.restype = c_int
    loaded.hypermixer_layer_norm.argtypes = [POINTER(_Norm)]
    loaded.hypermixer_layer_norm.restype = c_int
    loaded.hypermixer_bytes_held.restype = c_int64
    return loaded


def bytes_held() -> int:
    """Working memory that the threads keep for the next call."""
    return functions().hypermixer_bytes_held()


def forward(
    tokens: Inputs,
    nets: tuple[Hypernetwork, Hypernetwork | None],
    y: Tensor,
    pre: tuple[Tensor, Tensor],
    states: tuple[Tensor, Tensor, Tensor],
    runs: Sequence[int],
) -> None:
    """Writes y, and what the backward pass needs where there is room for it; see `operator.mixing`."""
    call = _Arguments(tokens, nets, runs)
    call.keep(y, pre, states)
    call.run()


def backward(
    tokens: Inputs,
    nets: tuple[Hypernetwork, Hypernetwork | None],
    grad: Tensor,
    pre: tuple[Tensor, Tensor],
    states: tuple[Tensor, Tensor, Tensor],
    gradients: tuple[Tensor | None, Tensor, Tensor | None],
    runs: Sequence[int],
) -> list[Tensor]:
    """Writes the gradients of query, key and value; returns the weights', of both networks, empty for what is None."""
    call = _Arguments(tokens, nets, runs)
    call.keep(grad, pre, states)
    call.c.backward = 1
    for name, gradient in zip(("query", "key", "value"), gradients, strict=True):
        getattr(call.c, name).grad = _pointer(gradient)
    sums: list[Tensor] = []
    for name, net in zip(("key_net", "query_net"), nets, strict=True):
        for field, weight in zip(Hypernetwork._fields, net or (None,) * 4, strict=True):
            total = tokens.key.new_empty(0) if weight is None else torch.empty(weight.shape, dtype=torch.float32)
            short = field.replace("_weight", "")
            setattr(getattr(call.c, name), f"d_{short}", None if weight is None else _pointer(total))
            sums.append(total)
    call.run()
    return [total.to(tokens.key.dtype) for total in sums]


def layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, out: Tensor) -> None:
    """LayerNorm of the rows of x [rows, D] into `out`, which may be x."""
    _layer_norm(x, weight, bias, eps, y=out)


def layer_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias, given that of the result; the last two in float32."""
    d_x, d_weight, d_bias = torch.empty_like(x), *torch.empty(2, x.shape[1], dtype=torch.float32)
    _layer_norm(x, weight, bias, eps, y=grad, d_x=d_x, d_weight=d_weight, d_bias=d_bias)
    return d_x, d_weight, d_bias


def _layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, **others: Tensor) -> None:
    rows, width = x.shape
    tensors = {"x": x, "weight": weight, "bias": bias, **others}
    assert all(t is None or t.is_contiguous() for t in tensors.values())
    call = _Norm(
        dtype=DTYPES[x.dtype], threads=torch.get_num_threads(), rows=rows, width=width, eps=eps,
        **{name: _pointer(t) for name, t in tensors.items()},
    )  # fmt: skip
    if functions().hypermixer_layer_norm(byref(call)):
        raise MemoryError("no memory is left for a LayerNorm")


class _Arguments:
    """The structure, and the tensors it points to."""

    def __init__(self, tokens: Inputs, nets: tuple[Hypernetwork, Hypernetwork | None], runs: Sequence[int]) -> None:
        key_net, query_net = nets
        heads, hidden, _ = key_net.out_weight.shape
        self._runs = array("q", runs)
        self._alive: list[Tensor] = []
        self.c = _Call(
            dtype=DTYPES[tokens.key.dtype], threads=torch.get_num_threads(), width=tokens.key.shape[1], heads=heads,
            hidden=heads * hidden, tied=tokens.query is None and query_net is None, scale=tokens.scale,
            run_count=len(specs(runs)), state_count=sum(spec.batch for spec in specs(runs) if spec.factored),
            runs=self._runs.buffer_info()[0], divisor=self._hold(tokens.divisor, torch.float32),
            key=_Side(self._hold(tokens.key), *self._belonging(tokens.key_keep, tokens.key_positions)),
            query=_Side(self._hold(tokens.query), *self._belonging(tokens.query_keep, tokens.query_positions)),
            value=_Side(self._hold(tokens.value)),
            key_net=self._network(key_net), query_net=_Network() if query_net is None else self._network(query_net),
        )  # fmt: skip

    def keep(self, y: Tensor, pre: tuple[Tensor, Tensor], states: tuple[Tensor, Tensor, Tensor]) -> None:
        """Where the result stands, or its gradient, and what is kept for the backward pass."""
        self.c.y = self._hold(y)
        self.c.key.pre, self.c.query.pre = (_pointer(t) for t in pre)
        self.c.s, self.c.c, self.c.s0 = (_pointer(t) for t in states)

    def run(self) -> None:
        """
        Raises:
            MemoryError: no working memory is left.
        """
        if functions().hypermixer_mixing(byref(self.c)):
            raise MemoryError("no memory is left for HyperMixing's tiles")

    def _network(self, net: Hypernetwork) -> _Network:
        return _Network(*(self._hold(t) for t in net))

    def _belonging(self, keep: Tensor | None, positions: Tensor | None) -> tuple[int | None, int | None, int]:
        each = positions is not None and positions.dim() == 3
        return self._hold(keep), self._hold(positions), each

    def _hold(self, t: Tensor | None, dtype: torch.dtype | None = None) -> int | None:
        if t is None:
            return None
        t = t.to(dtype or t.dtype).contiguous()
        self._alive.append(t)
        return t.data_ptr() or _NOWHERE


def _pointer(t: Tensor | None) -> int | None:
    """Of a tensor that somebody else keeps alive; None for an empty one."""
    return None if t is None else t.data_ptr() or None
