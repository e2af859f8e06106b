"""The contract over every registered mixer, and the contract itself against mixers that break it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from hypermixer.mixers import MIXERS, Attention, HyperMixing, HyperMixingMixer, Sequences, TokenMixer, build_mixer
from hypermixer.mixers import contract as promises
from hypermixer.mixers.contract import CONTRACT
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.packing import Packing
from hypermixer.ops.positions import sinusoid

VARIANTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in MIXERS] + [
    # The form is fixed where the contract's lengths lie on both sides of the crossover: see the test below.
    ("hypermixing", {"num_heads": 4, "form": "direct"}),
    ("hypermixing", {"num_heads": 2, "tied": False, "form": "factored"}),
    ("hypermixing", {"form": "factored", "bias": False, "normalization": "length"}),
    ("hypermixing", {"backend": "reference", "normalization": "none", "positions": "none"}),
    ("hypermixing", {"num_heads": 3, "projections": True, "form": "direct"}),
    ("hypermixing", {"tied": False, "projections": True, "form": "factored"}),
    ("hypermixing", {"projections": True, "backend": "reference"}),
    ("attention", {"num_heads": 3, "bias": False}),
    ("linear_attention", {"num_heads": 3, "bias": False}),
    ("mlp_mixer", {"d_hidden": 10, "max_length": 9, "bias": False}),
    ("gmlp", {"d_hidden": 10, "max_length": 9, "bias": False}),
    ("fnet", {"scale": "ortho"}),
    ("shared_vector", {"d_hidden": 5, "normalization": "none"}),
    ("shared_vector", {"normalization": "length"}),
    ("shift", {"reach": 3}),
    ("permutator", {"side": 3, "segments": 4}),
    ("cycle", {"kernel": 3}),
    ("summary_mixing", {"d_hidden": 5}),
    ("min_gru", {"d_hidden": 10}),
]


@pytest.mark.parametrize("check", CONTRACT, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name, options", VARIANTS, ids=lambda v: str(v))
def test_contract(name: str, options: dict[str, Any], check: Callable[..., None]) -> None:
    check(MIXERS[name], **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_padding_across_the_crossover(dtype: torch.dtype) -> None:
    """A sequence alone takes the direct form, padded the factored one: equal up to each form's own rounding."""
    torch.manual_seed(0)
    mixing = HyperMixing(24, num_heads=4).to(dtype)
    assert mixing.plan(4).form != mixing.plan(12).form
    x = torch.randn(6, 4, 24, dtype=torch.float64).to(dtype)
    padded, keep = torch.nn.functional.pad(x, (0, 0, 0, 8)), torch.arange(12).expand(6, 12) < 4
    results: list[list[Tensor]] = []
    upper = torch.randn(6, 4, 24, dtype=torch.float64).to(dtype)
    for tokens, mask in ((x, None), (padded, keep)):
        tokens = tokens.clone().requires_grad_()
        mixing.zero_grad()
        y = mixing(tokens, key_keep=mask)[:, :4]
        y.backward(upper)
        assert tokens.grad is not None
        gradients = [p.grad for p in mixing.parameters() if p.grad is not None]
        results.append([y.detach(), tokens.grad[:, :4], *gradients])
    tolerance = TOLERANCES[dtype]
    for alone, other in zip(*results, strict=True):
        assert error_ratio(alone, other) <= tolerance.rounded
    assert error_ratio(results[0][0], results[1][0]) <= tolerance.exact


class NoMask(HyperMixingMixer):
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return super().forward(x, Sequences.padded(x))


class MaskTimesZero(Attention):
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        y = super().forward(x.nan_to_num(0), Sequences.padded(x))
        return y if sequences.keep is None else y * sequences.keep.unsqueeze(-1)


class Leaks(HyperMixingMixer):
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return sequences.drop(super().forward(x, sequences) + x.mean(0, keepdim=True))


class CountsWrong(HyperMixingMixer):
    def flops(self, tokens: int) -> int:
        return super().flops(tokens) + 1


class OneText(Attention):
    """Takes all packed tokens for one sequence."""

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        if sequences.packing is None:
            return super().forward(x, sequences)
        return super().forward(x.unsqueeze(0), Sequences.padded(x.unsqueeze(0)))[0]


class CountsOn(HyperMixingMixer):
    """Positions of packed tokens count on from one sequence to the next."""

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        packing = sequences.packing
        if packing is None:
            return super().forward(x, sequences)
        return self.mixing(x, key_cu_seqlens=packing, key_positions=sinusoid(len(x), x.shape[-1], x))


class Neighbours(TokenMixer):
    """Half of each token goes to the next one; knows padded batches only."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """No options."""

    positions = "own"
    tags = frozenset({"linear_cost", "local"})
    cost = "N*D^2"
    source = "a test"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.out = torch.nn.Linear(d_model, d_model, bias=False)
        self.saw: list[tuple[int, ...]] = []

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return sequences.through_padding(self._mix, x)

    def _mix(self, x: Tensor, sequences: Sequences) -> Tensor:
        self.saw.append(tuple(x.shape))
        x = sequences.drop(x)
        if sequences.keep is None:
            before = torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
        else:  # the kept token before each: padding may stand anywhere
            order = (sequences.keep.cumsum(1) - 2).clamp(min=0)
            kept_first = torch.argsort((~sequences.keep).to(torch.int8), dim=1, stable=True)
            source = kept_first.gather(1, order)
            before = x.gather(1, source.unsqueeze(-1).expand_as(x))
            first = sequences.keep.cumsum(1) <= 1
            before = before.masked_fill(first.unsqueeze(-1), 0)
        return sequences.drop(self.out(x + 0.5 * before))

    def flops(self, tokens: int) -> int:
        return 2 * tokens * self.d_model**2

    def state_size(self, tokens: int) -> int:
        return self.d_model


class Idle(HyperMixingMixer):
    def __init__(self, config: Any, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.unused = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return super().forward(x, sequences) + 0 * self.unused


class ClaimsLinear(Attention):
    tags = Attention.tags | {"linear_cost"}


class Noisy(HyperMixingMixer):
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return sequences.drop(super().forward(torch.nn.functional.dropout(x), sequences))


class Wide(Attention):
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        return super().forward(x, sequences).double()


class Shared(HyperMixingMixer):
    def __init__(self, config: Any, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        self.again = self.mixing


class Remembers(HyperMixingMixer):
    """Keeps a tensor of its first call, in whatever mode that was."""

    scale: Tensor | None = None

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        if self.scale is None:
            self.scale = torch.ones(x.shape[-1], dtype=x.dtype) * 1
        return super().forward(x * self.scale, sequences)


class Lenient(HyperMixingMixer):
    @dataclass
    class Config:  # pyright: ignore[reportIncompatibleVariableOverride]
        num_heads: int = 1
        d_hidden: int | None = None


class ClaimsLocal(HyperMixingMixer):
    tags = HyperMixingMixer.tags | {"local"}


class ClaimsBlind(HyperMixingMixer):
    positions = "none"


class ForgetsItsEnd(MIXERS["mlp_mixer"]):
    """Leaves out what does not fit."""

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        if sequences.packing is None and sequences.keep is None:
            return torch.nn.functional.pad(
                super().forward(x[:, :250], Sequences.padded(x[:, :250])), (0, 0, 0, max(0, x.shape[1] - 250))
            )
        return super().forward(x, sequences)


class Disobeys(HyperMixingMixer):
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        y = super().forward(x, sequences)
        return y * 2 if torch.is_autocast_enabled("cpu") else y


BREAKERS: list[tuple[Callable[..., None], type[TokenMixer]]] = [
    (promises.keeps_shape_and_dtype, Wide),
    (promises.zeroes_dropped_positions, NoMask),
    (promises.ignores_what_dropped_positions_hold, NoMask),
    (promises.hides_padding, MaskTimesZero),
    (promises.packs, OneText),
    (promises.packs, CountsOn),
    (promises.keeps_sequences_apart, Leaks),
    (promises.trains_every_parameter, Idle),
    (promises.repeats_in_eval, Noisy),
    (promises.reloads_its_state, Shared),
    (promises.counts_its_flops, CountsWrong),
    (promises.keeps_its_tags, ClaimsLinear),
    (promises.reaches_as_far_as_it_says, ClaimsLocal),
    (promises.knows_the_order_it_says, ClaimsBlind),
    (promises.refuses_what_is_too_long, ForgetsItsEnd),
    (promises.refuses_unknown_options, Lenient),
    (promises.works_under_autocast, Disobeys),
]


def test_every_check_can_fail() -> None:
    assert {check for check, _ in BREAKERS} | {promises.survives_inference_mode} == set(CONTRACT)
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        promises.survives_inference_mode(Remembers)


@pytest.mark.parametrize("check, mixer", BREAKERS, ids=lambda v: v.__name__)
def test_the_contract_catches(check: Callable[..., None], mixer: type[TokenMixer]) -> None:
    with pytest.raises(AssertionError):
        check(mixer)


def test_a_mixer_for_padded_batches_keeps_the_whole_contract() -> None:
    assert not Neighbours.packs
    promises.verify(Neighbours)


@pytest.mark.parametrize("lengths, shape", [((3, 0, 5), (3, 5, 24)), ((0,), (1, 0, 24)), ((), (0, 0, 24))])
def test_packed_tokens_go_through_padding(lengths: tuple[int, ...], shape: tuple[int, ...]) -> None:
    mixer = Neighbours(Neighbours.Config(), d_model=24)
    x = torch.randn(sum(lengths), 24, requires_grad=True)
    y = mixer(x, Sequences.packed(x, Packing(lengths, x.device)))
    assert y.shape == x.shape and mixer.saw == [shape]
    y.sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("shape", [(0, 5, 24), (2, 0, 24), (0, 0, 24)])
@pytest.mark.parametrize("name", MIXERS)
def test_batches_without_tokens(name: str, shape: tuple[int, ...], masked: bool) -> None:
    mixer, x = build_mixer(name, {}, d_model=24), torch.empty(shape, requires_grad=True)
    y = mixer(x, Sequences.padded(x, torch.ones(shape[:2], dtype=torch.bool) if masked else None))
    assert y.shape == shape
    y.sum().backward()
    assert x.grad is not None and x.grad.shape == shape


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", [n for n in MIXERS if n != "attention"])  # 70,000 squared take minutes
def test_long_texts_do_not_overflow_float16(name: str, packed: bool) -> None:
    torch.manual_seed(0)
    mixer = build_mixer(name, {"scale": "ortho"} if name == "fnet" else {}, d_model=24).half()
    tokens = mixer.max_length or 70_000
    x = torch.ones(1, tokens, 24, dtype=torch.float16)
    y = mixer(x[0], Sequences.packed(x[0], Packing((tokens,), x.device))) if packed else mixer(x, Sequences.padded(x))
    assert y.dtype == torch.float16 and y.isfinite().all()


def test_linear_attention_does_not_overflow_float16_under_autocast() -> None:
    torch.manual_seed(0)
    mixer, x = build_mixer("linear_attention", {}, d_model=24), torch.ones(1, 70_000, 24)
    with torch.autocast("cpu", torch.float16):
        y = mixer(x, Sequences.padded(x))
    assert y.isfinite().all()


@pytest.mark.parametrize("name", MIXERS)
def test_what_one_packed_sequence_holds_reaches_no_other(name: str) -> None:
    torch.manual_seed(0)
    mixer = build_mixer(name, {}, d_model=24)
    packing = Packing((3, 2, 3, 2), torch.device("cpu"))
    others = packing.sequence_of != 2
    x = torch.randn(packing.tokens, 24)
    poisoned = x.masked_fill(~others.unsqueeze(1), float("nan"))
    results: list[list[Tensor]] = []
    for tokens in (x, poisoned):
        tokens = tokens.clone().requires_grad_()
        y = mixer(tokens, Sequences.packed(tokens, packing))
        (gradient,) = torch.autograd.grad(y[others].square().sum(), tokens)
        results.append([y.detach()[others], gradient[others]])
    for clean, dirty in zip(*results, strict=True):
        assert torch.equal(clean, dirty)
