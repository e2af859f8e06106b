"""Packed sequences equal the same sequences padded, alone and by the reference: values and every gradient."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.hypermixing import NORMALIZATIONS, Hypernetwork, OutputNorm, hypermixing, native
from hypermixer.ops.packing import Packing

WIDTH, HIDDEN = 24, 36
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
#: (backend, form); None: each sequence has the plan of its own length.
ROADS = (
    *product(
        ("dense",) if native.obstacle("cpu", torch.float32) else ("native", "dense"), (None, "direct", "factored")
    ),
    ("reference", None),
)
LENGTHS = {
    "stand-by-length": (3, 3, 8, 1, 1),
    "moved": (8, 3, 1, 8, 0, 3),
    "nothing-between": (0, 5, 0),
    "one": (7,),
    "longest-first": (21, 2),
    "empty": (0,),
}

Tensors = dict[str, Tensor]
Road = tuple[str, str | None]


def runs(road: Road, dtype: torch.dtype) -> bool:
    return road[0] != "native" or native.obstacle("cpu", dtype) is None


def weights(heads: int, *, tied: bool, dtype: torch.dtype, bias: bool = True) -> Tensors:
    """Parameters of both networks, and of the LayerNorm."""
    width, per_head = WIDTH // heads, HIDDEN // heads
    made: Tensors = {"norm.weight": torch.randn(WIDTH), "norm.bias": torch.randn(WIDTH)}
    for net in ("key_net",) if tied else ("key_net", "query_net"):
        made[f"{net}.a"] = torch.randn(heads, width, width) * width**-0.5
        made[f"{net}.b"] = torch.randn(heads, per_head, width) * width**-0.5
        if bias:
            made[f"{net}.a_bias"], made[f"{net}.b_bias"] = torch.randn(heads, width), torch.randn(heads, per_head)
    return {k: t.double().to(dtype) for k, t in made.items()}


def mix(tensors: Tensors, road: Road, normalization: str, **options: Any) -> Tensor:
    """`hypermixing` with tensors by name; what is not there is the keys', or tied."""

    def net(name: str) -> Hypernetwork:
        parts = (tensors.get(f"{name}.{part}") for part in ("a", "a_bias", "b", "b_bias"))
        return Hypernetwork(*parts)  # pyright: ignore[reportArgumentType]

    key = tensors["key"]
    norm = OutputNorm(tensors.get("norm.weight"), tensors.get("norm.bias")) if normalization == "layer" else None
    return hypermixing(
        tensors.get("query", key),
        key,
        tensors.get("value", key),
        net("key_net"),
        net("query_net") if "query_net.a" in tensors else None,
        backend=road[0],
        form=road[1],
        normalization=normalization,  # pyright: ignore[reportArgumentType]
        norm=norm,
        **options,
    )


def results(tensors: Tensors, call: Callable[[Tensors], Tensor], grad: Tensor) -> Tensors:
    """The output and the gradient of every tensor; zero where one was not used."""
    leaves = {k: t.detach().clone().requires_grad_() for k, t in tensors.items()}
    y = call(leaves)
    y.backward(grad.to(y.dtype))
    gradients = {k: torch.zeros_like(t) if t.grad is None else t.grad for k, t in leaves.items()}
    return {"output": y.detach(), **{f"gradient of {k}": g for k, g in gradients.items()}}


def in_float64(tensors: Tensors, call: Callable[..., Tensor], codes: Tensors, grad: Tensor) -> Tensors:
    wide = {k: t.double() for k, t in codes.items()}
    return results({k: t.double() for k, t in tensors.items()}, partial(call, **wide), grad.double())


def agree(actual: Tensors, expected: Tensors, tolerance: float) -> None:
    assert actual.keys() == expected.keys()
    for name, result in actual.items():
        assert error_ratio(result, expected[name]) <= tolerance, name


def spread(x: Tensor, lengths: Sequence[int]) -> Tensor:
    """[tokens, D] -> [B, longest + 2, D], NaN where nothing stands."""
    keep = kept(lengths)
    padded = x.new_full((*keep.shape, x.shape[-1]), float("nan"))
    padded[keep] = x
    return padded


def kept(lengths: Sequence[int]) -> Tensor:
    return torch.arange(max(lengths, default=0) + 2) < torch.tensor(lengths).unsqueeze(1)


def mix_alone(tensors: Tensors, road: Road, normalization: str, keys: Packing, **codes: Any) -> Tensor:
    """One call for each sequence of a self-mixing packing."""
    parts = [
        mix({**tensors, "key": x.unsqueeze(0)}, road, normalization, **codes)[0]
        for x in tensors["key"].split(list(keys.lengths))
    ]
    return torch.cat(parts)


def mix_padded(
    tensors: Tensors, road: Road, normalization: str, queries: Packing, keys: Packing, **codes: Any
) -> Tensor:
    """The packed call by way of padded tokens that hold NaN where nothing stands."""
    packings = {"query": queries, "key": keys, "value": keys}
    padded = {k: spread(t, packings[k].lengths) if k in packings else t for k, t in tensors.items()}
    key_keep = kept(keys.lengths)
    query_keep = kept(queries.lengths) if "query" in tensors else key_keep
    lengths = {"query_positions": query_keep.shape[1], "key_positions": key_keep.shape[1]}
    if "query" in tensors:
        codes = {k: t[: lengths[k]] for k, t in codes.items()}
    return mix(padded, road, normalization, key_keep=key_keep, query_keep=query_keep, **codes)[query_keep]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).removeprefix("torch."))
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("heads, tied", [(1, True), (3, True), (1, False), (3, False)])
def test_packed_is_padded_is_alone_is_the_reference(
    heads: int, tied: bool, lengths: tuple[int, ...], dtype: torch.dtype
) -> None:
    torch.manual_seed(4)
    packing = Packing(lengths, torch.device("cpu"))
    table = torch.randn(max(lengths) + 2, WIDTH).to(dtype)
    codes = {"query_positions": table, "key_positions": table}
    tokens, grad = torch.randn(packing.tokens, WIDTH).to(dtype), torch.randn(packing.tokens, WIDTH).to(dtype)
    exact, rounded = TOLERANCES[dtype].exact, TOLERANCES[dtype].rounded
    # In short sequences the LayerNorm meets tokens that are nearly constant, where bfloat16 says little on any road.
    for normalization in NORMALIZATIONS if dtype != torch.bfloat16 else ("length", "none"):
        tensors = {"key": tokens, **weights(heads, tied=tied, dtype=dtype, bias=heads == 3)}
        packed: Any = partial(mix, normalization=normalization, key_packing=packing)
        expected = in_float64(tensors, partial(packed, road=ROADS[-1]), codes, grad)
        for road in ROADS[:-1]:
            if not runs(road, dtype):
                continue
            options: dict[str, Any] = {"road": road, "normalization": normalization, **codes}
            actual = results(tensors, partial(packed, road=road, **codes), grad)
            agree(actual, expected, rounded)
            agree(actual, results(tensors, partial(mix_alone, keys=packing, **options), grad), exact)
            if road[1] is not None or dtype != torch.bfloat16:
                # The plan of a padded batch is that of its longest: packed, the others may have another form.
                padded = results(tensors, partial(mix_padded, queries=packing, keys=packing, **options), grad)
                agree(actual, padded, exact)
            with torch.no_grad():
                assert error_ratio(packed(tensors, road=road, **codes), expected["output"]) <= rounded


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).removeprefix("torch."))
@pytest.mark.parametrize("road", ROADS, ids=str)
@pytest.mark.parametrize(
    "queries, keys",
    [((2, 2, 5), (3, 3, 1)), ((2, 5, 2, 0, 4), (3, 3, 3, 4, 0)), ((5, 2), (2, 5)), ((0, 0), (0, 3)), ((3,), (0,))],
)
def test_the_cross_form_packed_is_padded(
    queries: tuple[int, ...], keys: tuple[int, ...], road: Road, dtype: torch.dtype
) -> None:
    if not runs(road, dtype):
        pytest.skip(f"native does not evaluate {dtype}")
    torch.manual_seed(0)
    key_packing, query_packing = Packing(keys, torch.device("cpu")), Packing(queries, torch.device("cpu"))
    n, m = key_packing.tokens, query_packing.tokens
    tokens = {"query": torch.randn(m, WIDTH), "key": torch.randn(n, WIDTH), "value": torch.randn(n, WIDTH)}
    tensors = {k: t.to(dtype) for k, t in tokens.items()} | weights(2, tied=False, dtype=dtype)
    codes = {"query_positions": torch.randn(9, WIDTH).to(dtype), "key_positions": torch.randn(9, WIDTH).to(dtype)}
    grad = torch.randn(m, WIDTH)
    for normalization in NORMALIZATIONS:
        packings: dict[str, Any] = {"key_packing": key_packing, "query_packing": query_packing}
        packed: Any = partial(mix, road=road, normalization=normalization, **packings)
        actual = results(tensors, partial(packed, **codes), grad)
        of_each = {
            "query_positions": codes["query_positions"][query_packing.position_of].unsqueeze(1),
            "key_positions": codes["key_positions"][key_packing.position_of].unsqueeze(1),
        }
        agree(results(tensors, partial(packed, **of_each), grad), actual, TOLERANCES[dtype].exact)
        padded = partial(
            mix_padded, road=ROADS[-1], normalization=normalization, queries=query_packing, keys=key_packing
        )
        agree(actual, in_float64(tensors, padded, codes, grad), TOLERANCES[dtype].rounded)


@pytest.mark.parametrize("road", ROADS, ids=str)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("crossed", [False, True])
def test_no_sequence_at_all(crossed: bool, normalization: str, road: Road) -> None:
    packing = Packing.of(torch.tensor([0]), torch.empty(0))
    names = ("query", "key", "value") if crossed else ("key",)
    tensors = {name: torch.empty(0, WIDTH) for name in names} | weights(2, tied=not crossed, dtype=torch.float32)
    got = results(
        tensors,
        partial(mix, road=road, normalization=normalization, key_packing=packing, query_packing=packing),
        torch.empty(0, WIDTH),
    )
    for name, result in got.items():
        assert not result.any(), name
    with torch.inference_mode():
        assert mix(tensors, road, normalization, key_packing=packing).shape == (0, WIDTH)


@pytest.mark.parametrize("road", ROADS, ids=str)
@pytest.mark.parametrize("lengths", [(4, 4, 4), (4, 2, 4, 2)])
@pytest.mark.parametrize("tied", [True, False])
def test_what_one_sequence_holds_reaches_no_other(tied: bool, lengths: tuple[int, ...], road: Road) -> None:
    torch.manual_seed(0)
    packing = Packing(lengths, torch.device("cpu"))
    tensors = {"key": torch.randn(packing.tokens, WIDTH), **weights(2, tied=tied, dtype=torch.float32)}
    others = packing.sequence_of != 1
    grad = torch.randn(packing.tokens, WIDTH) * others.unsqueeze(1)
    poisoned = {**tensors, "key": tensors["key"].masked_fill(~others.unsqueeze(1), float("nan"))}
    clean, dirty = (
        results(t, partial(mix, road=road, normalization="layer", key_packing=packing), grad)
        for t in (tensors, poisoned)
    )
    for name in ("output", "gradient of key"):
        assert torch.equal(clean[name][others], dirty[name][others]), name


def strided(kind: str, tokens: int) -> Tensor:
    match kind:
        case "transposed":
            return torch.randn(WIDTH, tokens).t()
        case "columns":
            return torch.randn(tokens, 2 * WIDTH)[:, ::2]
        case "rows":
            return torch.randn(2 * tokens, WIDTH)[1::2]
    return torch.randn(1, WIDTH).expand(tokens, WIDTH)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("road", ROADS[1:], ids=str)
@pytest.mark.parametrize("kind", ["transposed", "columns", "rows", "expanded"])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("shape", ["packed", "moved", "padded", "crossed"])
def test_strides_do_not_matter(shape: str, heads: int, kind: str, road: Road, grad: bool) -> None:
    torch.manual_seed(0)
    lengths = (5, 4, 5) if shape == "moved" else (7, 7)
    packing = Packing(lengths, torch.device("cpu"))
    net = weights(heads, tied=shape != "crossed", dtype=torch.float32)
    names = ("query", "key", "value") if shape == "crossed" else ("key",)
    tokens = {name: strided(kind, packing.tokens) for name in names}
    upper = strided(kind, packing.tokens)

    def run(tokens: Tensors, upper: Tensor) -> list[Tensor]:
        leaves = {k: t.detach().requires_grad_(grad) for k, t in tokens.items()}
        if shape == "padded":
            y = mix({**net, "key": leaves["key"].unsqueeze(0)}, road, "layer")[0]
        else:
            y = mix({**leaves, **net}, road, "layer", key_packing=packing, query_packing=packing)
        return [y, *torch.autograd.grad(y, [*leaves.values()], upper)] if grad else [y]

    with torch.set_grad_enabled(grad):
        expected = run(
            {k: t.clone(memory_format=torch.contiguous_format) for k, t in tokens.items()}, upper.contiguous()
        )
        for actual, wanted in zip(run(tokens, upper), expected, strict=True):
            assert error_ratio(actual, wanted) <= TOLERANCES[torch.float32].exact


@pytest.mark.parametrize("road", ROADS[1:], ids=str)
def test_the_tokens_of_a_convolution(road: Road) -> None:
    """Channels first, transposed: what one gives to `HyperMixing` after a convolution."""
    torch.manual_seed(0)
    net = weights(2, tied=True, dtype=torch.float32)
    for batch in (1, 3):
        x = torch.randn(batch, WIDTH, 11).transpose(1, 2)
        grad = torch.randn(batch, WIDTH, 11).transpose(1, 2)
        contiguous = results({**net, "key": x.contiguous()}, partial(mix, road=road, normalization="layer"), grad)
        actual = results({**net, "key": x}, partial(mix, road=road, normalization="layer"), grad)
        agree(actual, contiguous, TOLERANCES[torch.float32].exact)
