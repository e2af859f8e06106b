"""One run of sequences of equal length: what the forms work on."""

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from hypermixer.ops.hypermixing.network import Network, gelu
from hypermixer.ops.hypermixing.side import Part, Side
from hypermixer.ops.scratch import Scratch


@dataclass
class Run:
    """B sequences of N keys and M queries.

    Attributes:
        key, value, query: the tokens; `value` is `key`, and `query` is `key`, where they are read alike.
        key_net, query_net: make W1 and W2; the same object where they are tied.
        pre_key, pre_query: hidden layers of the networks before the GELU, [B N, D] and [B M, D], kept for the backward
            pass, part after part with heads first in each; None where there will be none.
        block: [K/H, D/H] hidden activations at a time.
        chunk: tokens at a time.
    """

    key: Side
    value: Side
    query: Side
    key_net: Network
    query_net: Network
    pre_key: Tensor | None
    pre_query: Tensor | None
    block: int
    chunk: int
    scratch: Scratch

    @property
    def self_mixing(self) -> bool:
        return self.query is self.key

    @property
    def tied(self) -> bool:
        """One network on the same tokens: the queries' activations are the keys'."""
        return self.self_mixing and self.query_net is self.key_net

    @property
    def shares_values(self) -> bool:
        """Keys and values are the same tokens, read alike or not."""
        return self.value.x is self.key.x

    @property
    def batch(self) -> int:
        return self.key.x.shape[0]

    @property
    def keys(self) -> int:
        return self.key.x.shape[1]

    @property
    def queries(self) -> int:
        return self.query.x.shape[1]

    @property
    def width(self) -> int:
        return self.key.x.shape[2]

    @property
    def heads(self) -> int:
        return self.key.heads

    def key_tokens(self, part: Part) -> Tensor:
        """[H, b, n, D/H], zero where dropped; likewise for queries and values."""
        return self.key.tokens(part, self.scratch)

    def query_tokens(self, part: Part) -> Tensor:
        return self.query.tokens(part, self.scratch)

    def value_tokens(self, part: Part, key: Tensor) -> Tensor:
        """`key` holds the keys' tokens of the same part."""
        return key if self.value is self.key else self.value.tokens(part, self.scratch)

    def key_features(self, part: Part, tokens: Tensor, out: Tensor) -> Tensor:
        """GELU activations of the keys' network, out [H, b, n, R]; what is before the GELU is kept where asked for."""
        return self._features(self.key, self.key_net, self.pre_key, part, tokens, out)

    def query_features(self, part: Part, tokens: Tensor, out: Tensor) -> Tensor:
        return self._features(self.query, self.query_net, self.pre_query, part, tokens, out)

    def kept_key(self, part: Part, room: Tensor | None = None, *, again: bool = False) -> tuple[Tensor, Tensor]:
        """Hidden layer of the keys' network, [H, b, n, R], before the GELU and after it.

        What is after it goes into `room`, where that is given, and is there already when asked for `again`.
        """
        return self._kept(self.pre_key, part, self.keys, "key activations", room, again)

    def kept_query(self, part: Part, room: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._kept(self.pre_query, part, self.queries, "query activations", room, False)

    def key_backward(self, d_f: Tensor, pre: Tensor, part: Part, tokens: Tensor) -> Tensor:
        """Gradient of the activations [H, b, n, R], which it overwrites -> gradient of the tokens they were made of."""
        return self._features_backward("key", self.key, self.key_net, d_f, pre, part, tokens)

    def query_backward(self, d_f: Tensor, pre: Tensor, part: Part, tokens: Tensor) -> Tensor:
        return self._features_backward("query", self.query, self.query_net, d_f, pre, part, tokens)

    def place(self, flat: Tensor, part: Part, tokens: int) -> Tensor:
        """Room for [H, b, n, D/H] in the rows of `flat` [B N, D] that belong to a part; N is `tokens`."""
        batch, count = part.sequences.stop - part.sequences.start, part.tokens.stop - part.tokens.start
        start = part.sequences.start * tokens + part.tokens.start
        return flat[start : start + batch * count].view(self.heads, batch, count, self.width // self.heads)

    def _features(
        self, side: Side, net: Network, kept: Tensor | None, part: Part, tokens: Tensor, out: Tensor
    ) -> Tensor:
        z = side.network_input(part, tokens, self.scratch).flatten(1, 2)
        if kept is None:
            net.hidden(z, activate=True, out=out.flatten(1, 2))
            return out
        pre = self.place(kept, part, side.x.shape[1])
        net.hidden(z, activate=False, out=pre.flatten(1, 2))
        return gelu.out(pre, out=out)

    def _kept(
        self, kept: Tensor | None, part: Part, tokens: int, name: str, room: Tensor | None, again: bool
    ) -> tuple[Tensor, Tensor]:
        assert kept is not None
        pre = self.place(kept, part, tokens)
        room = self.scratch(name, *pre.shape) if room is None else room
        return pre, room if again else gelu.out(pre, out=room)

    def _features_backward(
        self, role: str, side: Side, net: Network, d_f: Tensor, pre: Tensor, part: Part, tokens: Tensor
    ) -> Tensor:
        z = side.network_input(part, tokens, self.scratch).flatten(1, 2)
        room = partial(self.scratch, f"gradient as {role}")
        d_z = net.hidden_backward(d_f.flatten(1, 2), pre.flatten(1, 2), z, room).view(tokens.shape)
        return d_z if side.scale == 1.0 else d_z.mul_(side.scale)
