"""The layers of a polynomial twin, made from those of an encoder."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hypermixer.encoder import Block
from hypermixer.errors import InputError
from hypermixer.expressivity.field import Elements, Field
from hypermixer.expressivity.forward import from_state, left, over_tokens, right
from hypermixer.expressivity.separation import require_memory
from hypermixer.mixers import Sequences, TokenMixer
from hypermixer.mixers.attention import Attention
from hypermixer.mixers.cycle import Cycle
from hypermixer.mixers.fnet import FNet
from hypermixer.mixers.gmlp import GMLP
from hypermixer.mixers.hypermixing import HyperMixing
from hypermixer.mixers.hypermixing_mixer import HyperMixingMixer
from hypermixer.mixers.mlp_mixer import MLPMixer
from hypermixer.mixers.none import NoMixing
from hypermixer.mixers.permutator import Permutator
from hypermixer.mixers.shift import Shift
from hypermixer.ops.positions import POSITIONS
from hypermixer.ops.shifts import shifted

#: [N, D, P] -> [N, D, P].
Step = Callable[[Elements], Elements]


class Maker:
    """Makes the steps of a twin.

    Attributes:
        degree: of what the steps made so far compute together.
        words: of 8 bytes that one input takes in the widest of them.
    """

    def __init__(self, field: Field, tokens: int, width: int, act_degree: int, bits: int) -> None:
        self.field, self.tokens, self.k, self.bits = field, tokens, act_degree, bits
        self.unit = pow(2, -bits, field.p)
        self.degree, self.words = 1, 6 * tokens * width
        self.mixers: dict[type[nn.Module], Callable[[Any], tuple[Step, int]]] = {
            Attention: self.attention, HyperMixingMixer: self.hypermixing, MLPMixer: self.static, GMLP: self.gmlp,
            NoMixing: self.nothing, Shift: self.shift, Cycle: self.affine, FNet: self.affine, Permutator: self.affine,
        }  # fmt: skip

    def weight(self, tensor: Tensor | None, *shape: int) -> Elements:
        """Rounded, as elements; zeros where there is none."""
        if tensor is None:
            return np.zeros(shape, np.uint64)
        scaled = torch.round(tensor.detach().cpu().double() * 2.0**self.bits)
        if not scaled.isfinite().all():
            raise InputError("The model has weights that are not finite: they have no polynomial twin.")
        exact = scaled.numpy().astype(np.int64) if scaled.abs().lt(2.0**62).all() else _integers(scaled)
        return self.field.reduced(self.field.elements(exact) * np.uint64(self.unit))

    def linear(self, layer: nn.Linear) -> Step:
        """Of a linear layer on features."""
        weight, bias = self.weight(layer.weight).T.copy(), self.weight(layer.bias, layer.out_features)
        return lambda x: self.field.reduced(right(self.field, x, weight) + bias[:, None])

    def block(self, block: Block) -> Step:
        """Token mixing and feature mixing in the layout of the block, without its norms."""
        maker = self.mixers.get(type(block.mixer))
        if maker is None:
            known = ", ".join(sorted(kind.__name__ for kind in self.mixers))
            raise InputError(f"{type(block.mixer).__name__} has no polynomial twin; these have: {known}.")
        mixing, degree = maker(block.mixer)
        gates = [np.uint64(1)] * 2
        if block.layout == "rezero":
            gates = [*self.weight(block.gates), np.uint64(1)]
        reduced = self.field.reduced
        if block.features is None:
            self.degree *= degree
            return lambda x: reduced(x + reduced(gates[0] * mixing(x)))
        first, _, last = block.features
        assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
        self.words = max(self.words, 2 * self.tokens * (first.out_features + last.out_features))
        up, down = self.linear(first), self.linear(last)

        def features(x: Elements) -> Elements:
            return down(self.field.power(up(x), self.k))

        def step(x: Elements) -> Elements:
            mixed = reduced(x + reduced(gates[0] * mixing(x)))
            if block.layout == "parallel":
                return reduced(mixed + features(x))
            start = x if block.layout == "serialized" else mixed
            return reduced(start + reduced(gates[1] * features(mixed)))

        self.degree *= max(degree, self.k) if block.layout == "parallel" else degree * self.k
        return step

    def attention(self, mixer: Attention) -> tuple[Step, int]:
        project, out, heads = self.linear(mixer.qkv), self.linear(mixer.out), mixer.num_heads
        width = mixer.d_model // heads
        self.words = max(self.words, self.tokens**2 + 6 * self.tokens * mixer.d_model)

        def attend(x: Elements) -> Elements:
            query, key, value = np.split(project(x), 3, axis=1)
            mixed = []
            for start in range(0, mixer.d_model, width):
                q, k, v = (part[:, start : start + width] for part in (query, key, value))
                # [d, N, P] and [d, N, P] -> scores [N, N, P]
                scores = over_tokens(self.field, q.swapaxes(0, 1), k.swapaxes(0, 1))
                mixed.append(from_state(self.field, scores, v))
            return out(np.concatenate(mixed, axis=1))

        return attend, 3

    def hypermixing(self, mixer: HyperMixingMixer) -> tuple[Step, int]:
        mixing = mixer.mixing
        heads, width = mixing.num_heads, mixing.d_model // mixing.num_heads
        write = self.hypernetwork(mixing.key_net)
        read = write if mixing.query_net is None else self.hypernetwork(mixing.query_net)
        inform = self.information(mixing)
        project, finish = (
            None if layer is None else self.linear(layer)
            for layer in (mixing.value_projection, mixing.output_projection)
        )
        rows = mixing.d_hidden // heads
        share = np.uint64(1)
        if mixing.normalization == "length":
            if self.tokens % self.field.p == 0:
                raise InputError(f"{self.tokens} tokens cannot be divided by their number modulo {self.field.p}.")
            share = np.uint64(pow(self.tokens, -1, self.field.p))
        self.words = max(self.words, 3 * rows * width + self.tokens * (2 * rows + 4 * mixing.d_model))

        def mix(x: Elements) -> Elements:
            z, mixed = inform(x), []
            values = x if project is None else project(x)
            for head in range(heads):
                columns = slice(head * width, (head + 1) * width)
                w1 = write(z[:, columns], head)
                w2 = w1 if read is write else read(z[:, columns], head)
                state = self.field.reduced(over_tokens(self.field, w1, values[:, columns]) * share)
                state = self.field.power(state, self.k)
                mixed.append(from_state(self.field, w2, state))
            y = np.concatenate(mixed, axis=1)
            return y if finish is None else finish(y)

        return mix, self.k + self.k * (self.k + 1)

    def information(self, mixing: HyperMixing) -> Step:
        """What hypernetworks see of tokens."""
        told = POSITIONS[mixing.positions]
        codes = torch.zeros(self.tokens, mixing.d_model, dtype=torch.float64)
        if told.code is not None:
            codes = told.code(self.tokens, mixing.d_model, codes)
        scale, shift = (
            self.weight(torch.tensor([told.input_scale(mixing.d_model)], dtype=torch.float64)),
            self.weight(codes)[:, :, None],
        )
        return lambda x: self.field.reduced(self.field.reduced(x * scale) + shift)

    def hypernetwork(self, net: Any) -> Callable[[Elements, int], Elements]:
        """One head's generated weights for tokens [n, D/H, P] -> [n, K/H, P]."""
        hidden, out = (self.weight(layer.weight).swapaxes(1, 2) for layer in (net.hidden, net.out))
        b1 = self.weight(net.hidden.bias, len(hidden), hidden.shape[2])
        b2 = self.weight(net.out.bias, len(out), out.shape[2])

        def generate(z: Elements, head: int) -> Elements:
            pre = self.field.reduced(right(self.field, z, hidden[head]) + b1[head][:, None])
            weights = right(self.field, self.field.power(pre, self.k), out[head])
            return self.field.reduced(weights + b2[head][:, None])

        return generate

    def static(self, mixer: MLPMixer) -> tuple[Step, int]:
        n = self.fitting(mixer)
        write, read = self.weight(mixer.hidden.weight[:, :n]), self.weight(mixer.out.weight[:n])
        bias = self.weight(mixer.hidden.bias, mixer.d_hidden)[:, None, None]
        self.words = max(self.words, 3 * mixer.d_hidden * mixer.d_model)

        def mix(x: Elements) -> Elements:
            hidden = self.field.reduced(left(self.field, write, x) + bias)
            return left(self.field, read, self.field.power(hidden, self.k))

        return mix, self.k

    def gmlp(self, mixer: GMLP) -> tuple[Step, int]:
        n = self.fitting(mixer)
        up, down = self.linear(mixer.up), self.linear(mixer.down)
        spatial, bias = self.weight(mixer.spatial_weight[:n, :n]), self.weight(mixer.spatial_bias[:n])[:, None, None]
        self.words = max(self.words, 4 * n * mixer.d_hidden)

        def mix(x: Elements) -> Elements:
            content, gate = np.split(self.field.power(up(x), self.k), 2, axis=1)
            gate = self.field.reduced(left(self.field, spatial, gate) + bias)
            return down(self.field.reduced(content * gate))

        return mix, 2 * self.k

    def nothing(self, mixer: NoMixing) -> tuple[Step, int]:
        return lambda x: x, 1

    def fitting(self, mixer: MLPMixer | GMLP) -> int:
        if self.tokens > mixer.config.max_length:
            raise InputError(
                f"The model takes {mixer.config.max_length} tokens at most, and the twin was to have {self.tokens}."
            )
        return self.tokens

    def affine(self, mixer: TokenMixer) -> tuple[Step, int]:
        """Of a mixer without activations: the matrix of the map that it is, its entries rounded."""
        n, d = self.tokens, mixer.d_model
        require_memory(8 * 5 * (n * d) ** 2, force=False, forcible=False)
        zero = torch.zeros(1, n, d, dtype=torch.float64)
        basis = torch.eye(n * d, dtype=torch.float64).view(n * d, n, d)
        exact = copy.deepcopy(mixer).cpu().double().eval()
        with torch.no_grad():
            shift = exact(zero, Sequences.padded(zero))
            matrix = exact(basis, Sequences.padded(basis)) - shift
        weight, bias = self.weight(matrix.flatten(1)).T.copy(), self.weight(shift.view(n, d, 1))
        self.words = max(self.words, 6 * n * d)

        def mix(x: Elements) -> Elements:
            return self.field.reduced(self.field.product(weight, x.reshape(n * d, -1)).reshape(x.shape) + bias)

        return mix, 1

    def shift(self, mixer: Shift) -> tuple[Step, int]:
        before, after = self.linear(mixer.before), self.linear(mixer.after)
        places = torch.arange(self.tokens * mixer.d_model).view(1, self.tokens, -1)
        moved = partial(shifted, offsets=mixer.offsets, keep_edge=True)
        source = Sequences.padded(places).by_place(moved, places).flatten().numpy()
        self.words = max(self.words, 6 * self.tokens * mixer.d_model)

        def mix(x: Elements) -> Elements:
            hidden = self.field.power(before(x), self.k)
            return after(hidden.reshape(-1, x.shape[2])[source].reshape(x.shape))

        return mix, self.k


def _integers(scaled: Tensor) -> Any:
    """Of float64 beyond 64 bits."""
    return np.array([int(value) for value in scaled.flatten().tolist()], dtype=object).reshape(tuple(scaled.shape))
