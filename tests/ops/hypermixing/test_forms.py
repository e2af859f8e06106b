"""Every form against the reference: values and all gradients, in every dtype, at awkward sizes."""

import pytest
import torch

from hypermixer.errors import InputError
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.hypermixing import FORMS, Hypernetwork, dense, hypermixing, recompute, reference, resolve_backend
from hypermixer.ops.hypermixing.gate import Case, compare, gate_all

CPU = torch.device("cpu")
SIZES = (
    Case(batch=1, keys=1, queries=1, width=5, hidden=7),
    Case(batch=2, keys=1, queries=9, width=6, hidden=9, heads=3, tied=False),
    Case(batch=5, keys=63, queries=63, width=10, hidden=14, heads=2, mask=False),
    Case(batch=3, keys=130, queries=17, width=12, hidden=20, heads=4, tied=False, normalization="length"),
    Case(batch=7, keys=11, queries=11, width=9, hidden=3, heads=3, bias=False, normalization="none"),
)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda d: str(d).removeprefix("torch."))
def test_the_gate_passes(dtype: torch.dtype) -> None:
    for verdict in gate_all("cpu", dtype):
        assert verdict.passed, verdict


@pytest.mark.parametrize("form", [None, *FORMS])
@pytest.mark.parametrize("case", SIZES, ids=lambda c: f"n{c.keys}h{c.heads}")
def test_awkward_sizes(case: Case, form: str | None) -> None:
    for dtype in (torch.float64, torch.float32):
        for name, actual, expected in compare(case, form, CPU, dtype, seed=3):
            assert error_ratio(actual, expected) <= TOLERANCES[dtype].rounded, (name, dtype)


def test_the_gate_fails_on_a_wrong_form(monkeypatch: pytest.MonkeyPatch) -> None:
    read = dense.read
    monkeypatch.setattr(dense, "read", lambda f, c, c0: read(f, c, None))
    assert [v.passed for v in gate_all("cpu", torch.float64)] == [True, False]


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_blocks_do_not_change_the_result(block: int) -> None:
    torch.manual_seed(0)
    f, x = torch.randn(2, 5, 7, 3, dtype=torch.float64), torch.randn(2, 5, 7, 4, dtype=torch.float64)
    w, b = torch.randn(2, 6, 3, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)
    arguments = [t.requires_grad_() for t in (f, x, w, b)]
    y = recompute.token_mlp(f, None, x, w, b, w, b, block)
    hidden = torch.nn.functional.gelu((f @ w.mT[:, None] + b[:, None, None]).mT @ x)
    expected = (f @ w.mT[:, None] + b[:, None, None]) @ hidden
    grad = torch.randn_like(y)
    for actual, wanted in zip(
        (y, *torch.autograd.grad(y, arguments, grad)),
        (expected, *torch.autograd.grad(expected, arguments, grad)),
        strict=True,
    ):
        assert error_ratio(actual, wanted) < TOLERANCES[torch.float64].exact


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


def test_the_operators_pass_torchs_own_checks() -> None:
    torch.manual_seed(0)
    f, x = torch.randn(2, 3, 5, 4, requires_grad=True), torch.randn(2, 3, 5, 4, requires_grad=True)
    w, b = torch.randn(2, 6, 4, requires_grad=True), torch.randn(2, 6, requires_grad=True)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(recompute.token_mlp, (f, None, x, w, b, w, b, 2), test_utils=checks)
    s, s0 = torch.randn(2, 9, 4, requires_grad=True), torch.randn(2, 9, requires_grad=True)
    torch.library.opcheck(recompute.state_mlp, (s, s0, w, b, w, b, 4), test_utils=checks)
    torch.library.opcheck(recompute.state_mlp, (s, s0, w, None, w, None, 4), test_utils=checks)


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
        assert max(kept) <= batch * max(tokens, width + 1) * width < batch * hidden * width


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
