"""A hypernetwork evaluated a part at a time, forward and backward, with its gradients summed over the parts."""

from collections.abc import Callable

import torch
from torch import Tensor

from hypermixer.ops.hypermixing.weights import Hypernetwork
from hypermixer.ops.rows import linear_per_head

#: Makes an array of a given shape.
Room = Callable[..., Tensor]

gelu = torch.ops.aten.gelu
gelu_backward = torch.ops.aten.gelu_backward


class Network:
    """Hidden layer and second layer of a `Hypernetwork`; rows [H, rows, ·] in, rows out.

    Attributes:
        weights: the network's.
        sums: gradients of `weights`, summed in float32 or wider; None until the backward pass asks for them.
    """

    def __init__(self, weights: Hypernetwork) -> None:
        self.weights = weights
        self.sums: list[Tensor | None] | None = None
        self._hidden_t = self._out_t = None

    def hidden(self, z: Tensor, *, activate: bool, out: Tensor) -> Tensor:
        """z [H, rows, D/H] -> out [H, rows, R], before the GELU or after it."""
        return linear_per_head(z, self.weights.hidden_weight, self.weights.hidden_bias, gelu=activate, out=out)

    def generate(self, f: Tensor, room: Room) -> Tensor:
        """Hidden activations f [H, rows, R] -> token-mixing weights [H, rows, K/H]."""
        return linear_per_head(f, self.weights.out_weight, self.weights.out_bias, room=room)

    def begin_sums(self) -> None:
        wide = torch.promote_types(self.weights.hidden_weight.dtype, torch.float32)
        self.sums = [None if t is None else torch.zeros_like(t, dtype=wide) for t in self.weights]
        self._hidden_t = self.weights.hidden_weight.transpose(1, 2).contiguous()
        self._out_t = self.weights.out_weight.transpose(1, 2).contiguous()

    def hidden_backward(self, d_f: Tensor, pre: Tensor, z: Tensor, room: Room) -> Tensor:
        """Gradient of the activations [H, rows, R], which it overwrites -> gradient of z [H, rows, D/H]."""
        assert self._hidden_t is not None
        d_pre = gelu_backward.grad_input(d_f, pre, grad_input=d_f)
        self._add(0, d_pre, z)
        return linear_per_head(d_pre, self._hidden_t, room=room)

    def generate_backward(self, d_w: Tensor, f: Tensor, room: Room) -> Tensor:
        """Gradient of the generated weights [H, rows, K/H] -> gradient of f [H, rows, R]."""
        assert self._out_t is not None
        self._add(2, d_w, f)
        return linear_per_head(d_w, self._out_t, room=room)

    def add_out(self, d_hidden: Tensor, rows: Tensor) -> None:
        """Adds d_hidden' rows [H, K/H, R] to the gradient of the second layer's weight."""
        self._accumulate(2, d_hidden, rows)

    def add_out_bias(self, d_bias: Tensor) -> None:
        """Adds [H, K/H] to the gradient of the second layer's bias."""
        assert self.sums is not None and self.sums[3] is not None
        self.sums[3] += d_bias

    def gradients(self) -> list[Tensor]:
        """In the dtype of the weights; an empty tensor for an absent bias."""
        assert self.sums is not None
        like = self.weights.hidden_weight
        return [like.new_empty(0) if t is None else t.to(like.dtype) for t in self.sums]

    def _add(self, layer: int, d_out: Tensor, rows: Tensor) -> None:
        self._accumulate(layer, d_out, rows)
        assert self.sums is not None
        bias = self.sums[layer + 1]
        if bias is not None:
            bias += d_out.sum(1, dtype=bias.dtype)

    def _accumulate(self, index: int, left: Tensor, right: Tensor) -> None:
        assert self.sums is not None
        total = self.sums[index]
        assert total is not None
        if total.dtype == left.dtype:
            total.baddbmm_(left.transpose(1, 2), right)
        else:
            total += torch.bmm(left.transpose(1, 2), right)
