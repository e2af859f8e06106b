"""Every form against the reference: values and all gradients, in every dtype, at awkward sizes."""

from typing import Any

import pytest
import torch

from hypermixer.errors import InputError
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.hypermixing import (
    BACKENDS,
    CONSTANTS,
    FORMS,
    Constants,
    Hypernetwork,
    factored,
    hypermixing,
    native,
    operator,
    reference,
    resolve_backend,
)
from hypermixer.ops.hypermixing.gate import Case, compare, gate_all
from hypermixer.ops.hypermixing.inputs import RunSpec
from hypermixer.ops.hypermixing.plan import Plan
from hypermixer.ops.packing import Packing

CPU = torch.device("cpu")
HAS_NATIVE = native.obstacle("cpu", torch.float32) is None
SIZES = (
    Case(batch=1, keys=1, queries=1, width=5, hidden=7),
    Case(batch=2, keys=1, queries=9, width=6, hidden=9, heads=3, tied=False, same=False),
    Case(batch=5, keys=63, queries=63, width=10, hidden=14, heads=2, mask=False),
    Case(batch=3, keys=130, queries=17, width=12, hidden=20, heads=4, tied=False, normalization="length", same=False),
    Case(batch=7, keys=11, queries=11, width=9, hidden=3, heads=3, bias=False, normalization="none"),
    Case(batch=2, keys=520, queries=520, width=192, hidden=200),  # products of one sequence that oneDNN takes
    Case(batch=1, keys=520, queries=520, width=192, hidden=200, mask=False, tied=False, crossed=False),
)
CUT = (
    *(Case(heads=heads, bias=heads == 1, normalization="length") for heads in (1, 3)),
    Case(heads=2, same=False),
    Case(heads=3, tied=False, crossed=False, same=False),
    Case(heads=1, tied=False, queries=29, same=False, normalization="length"),
    Case(heads=2, tied=False, queries=5, same=False, bias=False),
    Case(heads=2, tied=False, keys=5, queries=37, same=False),
    Case(heads=1, batch=1, mask=False),
    Case(heads=2, own_positions=True),
    Case(heads=3, packed=(5, 37, 0, 5), normalization="length"),
    Case(heads=2, packed=(5, 37, 0, 5), own_positions=True, tied=False, same=False, normalization="none"),
)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda d: str(d).removeprefix("torch."))
def test_the_gate_passes(dtype: torch.dtype) -> None:
    for verdict in gate_all("cpu", dtype):
        assert verdict.passed, verdict


@pytest.mark.parametrize("form", [None, *FORMS])
@pytest.mark.parametrize("case", SIZES, ids=lambda c: f"n{c.keys}h{c.heads}")
def test_awkward_sizes(case: Case, form: str | None) -> None:
    roads = [("dense", torch.float64), ("dense", torch.float32)]
    if HAS_NATIVE:
        roads += [("native", torch.float32), ("native", torch.bfloat16)]
    for backend, dtype in roads:
        for name, actual, expected in compare(case, form, CPU, dtype, 3, backend):
            assert error_ratio(actual, expected) <= TOLERANCES[dtype].rounded, (name, backend, dtype)


def test_the_gate_fails_on_a_wrong_form(monkeypatch: pytest.MonkeyPatch) -> None:
    read = factored.read
    monkeypatch.setattr(factored, "read", lambda run, name, f, c, c0: read(run, name, f, c, None))
    assert [v.passed for v in gate_all("cpu", torch.float64)] == [True, False]  # only dense knows float64


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tokens, hidden", [(1, 1), (5, 2), (36, 4), (50, 100)])
@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_blocks_and_chunks_do_not_change_the_result(
    backend: str, tokens: int, hidden: int, form: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sequences are cut in the middle, or a few are taken together; hidden activations come a few at a time."""
    if backend == "native" and native.obstacle("cpu", dtype):
        pytest.skip(f"native does not run here in {dtype}")
    for case in CUT:
        chunk = tokens * case.width * dtype.itemsize
        block = hidden * case.width * case.hidden // case.heads**2 * dtype.itemsize
        for kind in ("cpu", "native"):
            monkeypatch.setitem(CONSTANTS, kind, Constants(block_bytes=block, chunk_bytes=chunk))
        for name, actual, expected in compare(case, form, CPU, dtype, 1, backend):
            assert error_ratio(actual, expected) <= TOLERANCES[dtype].rounded, (name, case)


@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_long_sums_are_wide(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 a sum over many parts would stop growing: 256 + 1 is 256."""
    if backend == "native" and not HAS_NATIVE:
        pytest.skip("native does not run here")
    for kind in ("cpu", "native"):
        monkeypatch.setitem(CONSTANTS, kind, Constants(chunk_bytes=1))
    ones = torch.ones(1, 1, 1, dtype=torch.bfloat16)
    net = Hypernetwork(ones, None, ones, None)
    x = torch.ones(1, 1000, 1, dtype=torch.bfloat16)
    values = {
        form: hypermixing(x, x, x, net, normalization="none", form=form, backend=backend)[0, 0, 0].item()
        for form in (None, *FORMS)
    }
    wide, one = x.double(), ones.double()
    expected = reference.hypermixing(wide, wide, wide, Hypernetwork(one, None, one, None), normalization="none")
    for form, value in values.items():
        assert abs(value / expected[0, 0, 0].item() - 1) < TOLERANCES[torch.bfloat16].rounded, form


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_agree_with_finite_differences(form: str, tied: bool) -> None:
    torch.manual_seed(0)
    heads, d, k = 2, 3, 2
    nets = [
        [torch.randn(*s, dtype=torch.float64) * 0.5 for s in ((heads, d, d), (heads, d), (heads, k, d), (heads, k))]
        for _ in range(1 if tied else 2)
    ]
    x = torch.randn(2, 4, heads * d, dtype=torch.float64)
    keep = torch.tensor([[True, True, False, True], [True, False, False, False]])

    def f(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        query_net = None if tied else Hypernetwork(*weights[4:])
        net = Hypernetwork(*weights[:4])
        return hypermixing(x, x, x, net, query_net, key_keep=keep, query_keep=keep, form=form)

    inputs = [t.requires_grad_() for t in (x, *[w for net in nets for w in net])]
    assert torch.autograd.gradcheck(f, inputs, fast_mode=True)


def operator_arguments(kind: str, form: str, *, tied: bool, keep_hidden: bool, backend: str) -> tuple[Any, ...]:
    """What `dense.py` gives to the operator for a call of some kind, gradients asked for where they will be needed."""
    torch.manual_seed(0)
    heads, width, per_head = 2, 3, 4

    def made(*shape: int) -> torch.Tensor:
        return torch.randn(shape, requires_grad=keep_hidden)

    def net() -> list[torch.Tensor]:
        return [made(heads, width, width), made(heads, width), made(heads, per_head, width), made(heads, per_head)]

    runs = {"padded": [(2, 5, 5)], "packed": [(2, 3, 3), (1, 4, 4)], "cross": [(2, 3, 4), (1, 4, 2)]}[kind]
    keys, queries = (sum(run[0] * run[i] for run in runs) for i in (1, 2))
    crossed, padded = kind == "cross", kind == "padded"
    keep = torch.rand(keys) > 0.3 if padded else None
    positions = torch.randn(9, heads * width) if not crossed else torch.randn(keys, 1, heads * width)
    query_positions = torch.randn(queries, 1, heads * width) if crossed else positions
    specs = [number for run in runs for number in RunSpec.of(*run, Plan(form, 2, 4))]  # pyright: ignore[reportArgumentType]
    return (
        made(queries, heads * width) if crossed else None,
        made(keys, heads * width),
        made(keys, heads * width) if crossed else None,
        *net(),
        *((None,) * 4 if tied else net()),
        query_positions,
        positions,
        keep,
        keep,
        None if padded else torch.arange(1, 4),
        1.5,
        specs,
        keep_hidden,
        backend == "native",
    )


@pytest.mark.parametrize("keep_hidden", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind, tied", [("padded", True), ("padded", False), ("packed", True), ("cross", False)])
@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_the_operator_passes_torchs_own_checks(
    backend: str, kind: str, tied: bool, form: str, keep_hidden: bool
) -> None:
    if backend == "native" and not HAS_NATIVE:
        pytest.skip("native does not run here")
    arguments = operator_arguments(kind, form, tied=tied, keep_hidden=keep_hidden, backend=backend)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator.mixing, arguments, test_utils=checks)


def test_long_inputs_stay_finite_in_half_precision() -> None:
    torch.manual_seed(0)
    d = 8
    net = Hypernetwork(*(torch.ones(s, dtype=torch.float16) for s in ((1, d, d), (1, d), (1, d, d), (1, d))))
    x = torch.ones(1, 4096, d, dtype=torch.float16) + 0.1 * torch.randn(1, 4096, d).half()
    for form in FORMS:
        y = hypermixing(x, x, x, net, normalization="layer", form=form)
        assert y.dtype == torch.float16 and y.isfinite().all()


def test_no_hidden_activation_is_kept_for_the_backward_pass() -> None:
    batch, tokens, width, hidden = 64, 16, 32, 64
    net = Hypernetwork(
        *(torch.randn(s, requires_grad=True) for s in ((1, width, width), (1, width), (1, hidden, width), (1, hidden)))
    )
    x = torch.randn(batch, tokens, width, requires_grad=True)
    for form in FORMS:
        kept: list[int] = []

        def pack(t: torch.Tensor, kept: list[int] = kept) -> torch.Tensor:
            kept.append(t.numel())
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            hypermixing(x, x, x, net, form=form)
        # States of the factored form are as large as D tokens.
        largest = batch * (tokens if form == "direct" else max(tokens, width)) * width
        assert max(kept) == largest < batch * hidden * width


@pytest.mark.parametrize("form", [None, *FORMS])
@pytest.mark.parametrize("kind", ["tied", "untied", "crossed", "tied-apart"])
@pytest.mark.parametrize("codes", ["shared", "each", "packed", "packed-each"])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_learned_positions_receive_the_references_gradient(
    scale: float, codes: str, kind: str, form: str | None
) -> None:
    torch.manual_seed(0)
    lengths, width = (5, 2, 5), 6
    longest, total = max(lengths), sum(lengths)
    packing = Packing(lengths, CPU)
    made = {"shared": (longest,), "each": (3, longest), "packed": (longest,), "packed-each": (total, 1)}[codes]
    packed = codes.startswith("packed")
    shape = (total, width) if packed else (3, longest, width)
    names = ("query", "key", "value") if kind == "crossed" else ("key",)
    tokens = {name: torch.randn(shape, dtype=torch.float64) for name in names}
    apart = kind in ("crossed", "tied-apart")
    for name in ("key_positions", "query_positions") if apart else ("key_positions",):
        tokens[name] = torch.randn(*made, width, dtype=torch.float64)
    shapes = ((2, 3, 3), (2, 3), (2, 4, 3), (2, 4))
    for net in ("key_net", "query_net") if kind in ("untied", "crossed") else ("key_net",):
        tokens |= {f"{net}{i}": torch.randn(s, dtype=torch.float64) for i, s in enumerate(shapes)}
    keep = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    where: dict[str, Any] = {"key_packing": packing} if packed else {"key_keep": keep, "query_keep": keep}
    grad = torch.randn(shape, dtype=torch.float64)
    results: list[dict[str, torch.Tensor]] = []
    for backend in ("dense", "reference"):
        t = {k: v.clone().requires_grad_() for k, v in tokens.items()}
        nets = [
            Hypernetwork(*(t[f"{net}{i}"] for i in range(4))) if f"{net}0" in t else None
            for net in ("key_net", "query_net")
        ]
        assert nets[0] is not None
        y = hypermixing(
            t.get("query", t["key"]), t["key"], t.get("value", t["key"]), nets[0], nets[1],
            key_positions=t["key_positions"], query_positions=t.get("query_positions", t["key_positions"]),
            input_scale=scale, backend=backend, form=form if backend == "dense" else None, **where,
        )  # fmt: skip
        gradients = torch.autograd.grad(y, [*t.values()], grad)
        results.append({"output": y.detach(), **dict(zip(t, gradients, strict=True))})
    for name, actual in results[0].items():
        assert error_ratio(actual, results[1][name]) <= TOLERANCES[torch.float64].exact, name
    assert results[0]["key_positions"].any()


@pytest.mark.parametrize("form", [None, *FORMS])
@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_input_scale_is_of_the_tokens_only(heads: int, positions: bool, form: str | None) -> None:
    """The hypernetworks see c x + p; the values are x."""
    torch.manual_seed(0)
    c, d, r = 2.5, 6, 6 // heads
    x = torch.randn(2, 7, d, dtype=torch.float64, requires_grad=True)
    p = torch.randn(7, d, dtype=torch.float64) if positions else torch.zeros(7, d, dtype=torch.float64)
    shapes = ((heads, r, r), (heads, r), (heads, 4, r), (heads, 4))
    net = Hypernetwork(*(torch.randn(s, dtype=torch.float64) for s in shapes))
    options: dict[str, Any] = {"key_positions": p, "query_positions": p} if positions else {}
    y = hypermixing(x, x, x, net, input_scale=c, normalization="none", form=form, **options)
    gelu = torch.nn.functional.gelu
    heads_of = [slice(h * r, (h + 1) * r) for h in range(heads)]
    z = c * x + p
    outputs: list[torch.Tensor] = []
    for h, at in enumerate(heads_of):
        assert net.hidden_bias is not None and net.out_bias is not None
        w = gelu(z[..., at] @ net.hidden_weight[h].T + net.hidden_bias[h]) @ net.out_weight[h].T + net.out_bias[h]
        outputs.append(w @ gelu(w.mT @ x[..., at]))
    expected = torch.cat(outputs, -1)
    grad = torch.randn_like(expected)
    assert error_ratio(y, expected) <= TOLERANCES[torch.float64].exact
    (actual,), (wanted,) = (torch.autograd.grad(t, x, grad) for t in (y, expected))
    assert error_ratio(actual, wanted) <= TOLERANCES[torch.float64].exact


def test_unknown_names_are_refused() -> None:
    x = torch.randn(1, 3, 4)
    net = Hypernetwork(torch.randn(1, 4, 4), None, torch.randn(1, 4, 4), None)
    with pytest.raises(InputError, match="factored"):
        hypermixing(x, x, x, net, form="factord")
    with pytest.raises(InputError, match="dense"):
        resolve_backend("dens")
    with pytest.raises(InputError, match="form"):
        hypermixing(x, x, x, net, backend="reference", form="direct")


def test_the_reference_is_the_equations() -> None:
    """One head, three tokens, by hand: W = GELU(Z A') B', Y = W GELU(W' X)."""
    torch.manual_seed(0)
    x, p = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    a, b = torch.randn(2, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    gelu = torch.nn.functional.gelu
    w = gelu((x + p) @ a.T) @ b.T
    expected = w @ gelu(w.T @ x)
    net = Hypernetwork(a[None], None, b[None], None)
    y = reference.hypermixing(x[None], x[None], x[None], net, query_positions=p, key_positions=p, normalization="none")
    assert error_ratio(y[0], expected) < TOLERANCES[torch.float64].exact
