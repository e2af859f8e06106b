"""A short self-check of any form on any device and dtype against the reference in float64: values and every gradient.

Benchmarks run it first, on the machine at hand, and print nothing for a form that fails it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.hypermixing import FORMS, Hypernetwork, OutputNorm, hypermixing, native
from hypermixer.ops.packing import Packing


@dataclass(frozen=True)
class Case:
    """Sizes of one check: awkward on purpose."""

    batch: int = 3
    keys: int = 37
    queries: int = 37
    width: int = 24
    hidden: int = 36
    heads: int = 1
    tied: bool = True
    bias: bool = True
    normalization: str = "layer"
    #: Of the tokens in the networks' input.
    scale: float = 1.0
    mask: bool = True
    #: Whether queries and values are other tokens than the keys; untied only.
    crossed: bool = True
    #: Queries read as keys are, so that what is computed for one serves the other; otherwise with other positions.
    same: bool = True
    #: Every sequence has position codes of its own, in place of one table for all.
    own_positions: bool = False
    #: Keys of each sequence, end to end, in place of `batch`, `keys`, `queries` and `mask`; where queries are other
    #: tokens, theirs are the same in reverse order.
    packed: tuple[int, ...] = ()

    @property
    def query_lengths(self) -> tuple[int, ...]:
        """Of packed sequences."""
        return self.packed if self.same_tokens else self.packed[::-1]

    @property
    def same_tokens(self) -> bool:
        """Queries, keys and values are one tensor."""
        return self.tied or not self.crossed


#: Sequences of equal length apart from each other, so that they have to be moved, and one with nothing in it.
APART = (29, 8, 0, 29, 17, 8)
#: Longer than the chunk of a CPU's plan for a width of 512, in every dtype. Not for the LayerNorm: in bfloat16, torch's
#: own sums of its gradients over so many tokens are further off than is allowed here.
LONG = 2_101

CASES = (
    *(
        Case(heads=heads, tied=tied, bias=heads != 2, normalization=norm, queries=37 if tied else 29, same=tied)
        for heads, tied, norm in product((1, 2, 3), (True, False), ("layer", "length", "none"))
    ),
    *(Case(heads=heads, tied=False, crossed=False, bias=heads == 1) for heads in (1, 2)),
    *(Case(heads=heads, mask=False) for heads in (1, 2)),
    Case(heads=2, same=False, scale=0.6),
    Case(heads=1, same=False, normalization="length"),
    *(Case(heads=2, tied=tied, crossed=False, scale=1.7, normalization="length") for tied in (True, False)),
    *(  # large enough for every product that a form may choose by size
        Case(keys=160, queries=160, width=192, hidden=200, heads=heads, bias=bias)
        for heads, bias in product((1, 2), (True, False))
    ),
    Case(heads=2, own_positions=True),
    Case(heads=1, own_positions=True, same=False, normalization="none"),
    Case(heads=3, own_positions=True, tied=False, queries=29, same=False),
    *(
        Case(heads=heads, packed=lengths, own_positions=own, normalization=norm)
        for (heads, norm), (lengths, own) in product(
            ((1, "layer"), (2, "length"), (3, "none")), ((APART, False), (APART, True), ((29, 29, 8), False))
        )
    ),
    *(
        Case(heads=2, tied=False, crossed=cross, same=not cross, packed=APART, own_positions=own, normalization=norm)
        for cross, own, norm in product((True, False), (True, False), ("layer", "length"))
    ),
    *(Case(1, LONG, LONG, width=512, hidden=64, heads=heads, mask=False, normalization="length") for heads in (1, 8)),
    Case(
        packed=(3, LONG, 3),
        own_positions=True,
        width=512,
        hidden=64,
        heads=4,
        tied=False,
        same=False,
        normalization="length",
    ),
)


@dataclass(frozen=True)
class Verdict:
    """Largest error ratio over values and gradients of all cases, and where it stood."""

    backend: str
    form: str
    device: str
    dtype: torch.dtype
    worst: float
    where: str

    @property
    def passed(self) -> bool:
        return self.worst <= TOLERANCES[self.dtype].rounded


def gate(
    form: str, device: str | torch.device, dtype: torch.dtype, *, backend: str = "dense", seed: int = 0
) -> Verdict:
    """Checks one form of a backend; the reference sees the same numbers in float64."""
    worst, where = 0.0, "nothing"
    for case in CASES:
        for name, actual, expected in compare(case, form, torch.device(device), dtype, seed, backend):
            ratio = error_ratio(actual.cpu(), expected)
            if not ratio <= worst:
                worst, where = ratio, f"{name} of {case}"
    return Verdict(backend, form, str(device), dtype, worst, where)


def gate_all(device: str | torch.device, dtype: torch.dtype) -> list[Verdict]:
    """One verdict for each form of every backend that runs here."""
    obstacle = native.obstacle(torch.device(device).type, dtype)
    backends = ("dense",) if obstacle else ("native", "dense")
    return [gate(form, device, dtype, backend=backend) for backend in backends for form in FORMS]


def compare(
    case: Case, form: str | None, device: torch.device, dtype: torch.dtype, seed: int, backend: str = "dense"
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(name, result in `dtype`, result of the reference in float64) for the output and the gradient of every input."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {k: t.to(dtype) for k, t in _tensors(case, generator).items()}
    masks = _masks(case, generator)
    actual = _run(case, {k: t.to(device) for k, t in tensors.items()}, masks, backend, form, device)
    expected = _run(case, {k: t.double() for k, t in tensors.items()}, masks, "reference", None, torch.device("cpu"))
    for name, result in expected.items():
        yield name, actual[name], result


def _tensors(case: Case, generator: torch.Generator) -> dict[str, Tensor]:
    width, per_head = case.width // case.heads, case.hidden // case.heads
    keys, queries = (case.batch, case.keys), (case.batch, case.queries)
    if case.packed:
        keys = queries = (sum(case.packed),)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64) * scale

    def codes(tokens: tuple[int, ...]) -> Tensor:
        if not case.own_positions:
            return normal(max(case.packed, default=tokens[-1]), case.width)
        return normal(*tokens, 1, case.width) if case.packed else normal(*tokens, case.width)

    tensors = {"key": normal(*keys, case.width)}
    if not case.same_tokens:
        tensors["query"] = normal(*queries, case.width)
        tensors["value"] = normal(*keys, case.width)
    for net in ("key_net",) if case.tied else ("key_net", "query_net"):
        tensors[f"{net}.hidden_weight"] = normal(case.heads, width, width, scale=width**-0.5)
        tensors[f"{net}.out_weight"] = normal(case.heads, per_head, width, scale=width**-0.5)
        if case.bias:
            tensors[f"{net}.hidden_bias"] = normal(case.heads, width, scale=0.3)
            tensors[f"{net}.out_bias"] = normal(case.heads, per_head, scale=0.3)
    if case.normalization == "layer":
        tensors["norm.weight"], tensors["norm.bias"] = normal(case.width), normal(case.width)
    tensors["key_positions"] = codes(keys)
    if not case.same:
        tensors["query_positions"] = codes(queries)
    tensors["grad"] = normal(*queries, case.width)
    return tensors


def _masks(case: Case, generator: torch.Generator) -> tuple[Tensor | None, Tensor | None]:
    if case.packed or not case.mask:
        return None, None
    key_keep, query_keep = (torch.rand(case.batch, n, generator=generator) > 0.3 for n in (case.keys, case.queries))
    key_keep[-1] = False  # a sequence with nothing in it
    return key_keep, key_keep if case.same_tokens else query_keep


def _belonging(case: Case, masks: tuple[Tensor | None, Tensor | None], device: torch.device) -> dict[str, Any]:
    """Which tokens belong to which sequence: masks or packings, as the operator takes them."""
    name = "packing" if case.packed else "keep"
    if case.packed:
        key, query = Packing(case.packed, device), Packing(case.query_lengths, device)
    else:
        key, query = (None if m is None else m.to(device) for m in masks)
    return {f"key_{name}": key, f"query_{name}": key if case.same_tokens else query}


def _run(
    case: Case,
    tensors: dict[str, Tensor],
    masks: tuple[Tensor | None, Tensor | None],
    backend: str,
    form: str | None,
    device: torch.device,
) -> dict[str, Tensor]:
    given = ("grad", "key_positions", "query_positions")
    inputs = {k: t.detach().clone().requires_grad_() for k, t in tensors.items() if k not in given}

    def net(name: str) -> Hypernetwork:
        parts = ("hidden_weight", "hidden_bias", "out_weight", "out_bias")
        return Hypernetwork(*(inputs.get(f"{name}.{part}") for part in parts))  # pyright: ignore[reportArgumentType]

    key, key_positions = inputs["key"], tensors["key_positions"]
    options: dict[str, Any] = {
        "normalization": case.normalization, "input_scale": case.scale, "backend": backend, "form": form,
    }  # fmt: skip
    options |= _belonging(case, masks, device)

    def call() -> Tensor:
        return hypermixing(
            inputs.get("query", key),
            key,
            inputs.get("value", key),
            net("key_net"),
            None if case.tied else net("query_net"),
            query_positions=tensors.get("query_positions", key_positions),
            key_positions=key_positions,
            norm=OutputNorm(inputs.get("norm.weight"), inputs.get("norm.bias")),
            **options,
        )

    y = call()
    y.backward(tensors["grad"])
    gradients = {f"gradient of {k}": _gradient(t) for k, t in inputs.items()}
    with torch.no_grad():  # inference may take other products
        inferred = call()
    return {"output": y.detach(), "output without gradients": inferred, **gradients}


def _gradient(t: Tensor) -> Tensor:
    assert t.grad is not None
    return t.grad
