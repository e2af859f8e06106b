"""The peers compute what their names say."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.peers import PEERS, OfficialOrder, attention, build, official_table
from torch import nn

from benchmarks import peers
from hypermixer import HyperMixing
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures"
SIZES: dict[str, Any] = {"d_model": 24, "d_hidden": 36, "device": torch.device("cpu"), "dtype": torch.float64}


def gradients(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    leaf = x.clone().requires_grad_()
    y = module(leaf)
    y = y[0] if isinstance(y, tuple) else y
    return [y, *torch.autograd.grad(y, (leaf,), torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y))]


def test_attention_is_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = attention(24, 3).double(), nn.MultiheadAttention(24, 3, batch_first=True).double()
    assert theirs.in_proj_weight is not None
    mixer: Any = ours.mixer
    with torch.no_grad():
        for target, source in (
            (theirs.in_proj_weight, mixer.qkv.weight),
            (theirs.in_proj_bias, mixer.qkv.bias),
            (theirs.out_proj.weight, mixer.out.weight),
            (theirs.out_proj.bias, mixer.out.bias),
        ):
            target.copy_(source)  # fmt: skip
    x = torch.randn(3, 7, 24, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    expected = theirs(leaf, leaf, leaf, need_weights=False)[0]
    assert error_ratio(ours(x), expected) <= EXACT
    grad = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).view_as(expected)
    assert error_ratio(gradients(ours, x)[1], torch.autograd.grad(expected, leaf, grad)[0]) <= EXACT


@pytest.mark.parametrize("tokens", [1, 11])
@pytest.mark.parametrize("heads", [1, 3])
def test_the_official_order_is_the_reference_with_its_own_positions(heads: int, tokens: int) -> None:
    torch.manual_seed(0)
    official = OfficialOrder(24, 36, heads, max_length=64).double()
    layer = HyperMixing(24, 36, heads, tied=False, bias=False, backend="reference", positions="none").double()
    assert layer.query_net is not None
    with torch.no_grad():
        for net, name in ((layer.key_net, "key"), (layer.query_net, "query")):
            net.hidden.weight.copy_(getattr(official, f"{name}_hidden"))
            net.out.weight.copy_(getattr(official, f"{name}_out"))
    x = torch.randn(3, tokens, 24, dtype=torch.float64)
    z = x * math.sqrt(24) + official.table[1 : tokens + 1]
    expected = layer(z, z.clone(), x)
    assert error_ratio(official(x), expected) <= EXACT


def test_the_official_order_is_the_official_layer() -> None:
    path = FIXTURES / "idiap_self_h1.safetensors"
    if not path.exists():
        pytest.skip("../shared/fixtures is not beside the repository")
    from safetensors.torch import load_file

    case = load_file(path)
    module = OfficialOrder(32, 64, 1, max_length=12).double()
    names = {"key": "w1_gen", "query": "w2_gen"}
    with torch.no_grad():
        for ours, theirs in names.items():
            getattr(module, f"{ours}_hidden").copy_(case[f"weights.hyper.{theirs}.fc1_weights"])
            getattr(module, f"{ours}_out").copy_(case[f"weights.hyper.{theirs}.fc2_weights"])
        module.norm.weight.copy_(case["weights.layer_norm.weight"])
        module.norm.bias.copy_(case["weights.layer_norm.bias"])
    x = case["input.key"].clone().requires_grad_()
    assert error_ratio(official_table(12, 32).double(), case["position_table"]) <= TOLERANCES[torch.float32].exact
    module.table = case["position_table"]
    y = module(x)
    assert error_ratio(y, case["output"]) <= EXACT
    y.backward(case["output_grad_in"])
    assert x.grad is not None and error_ratio(x.grad, case["grad.key"]) <= EXACT
    for ours, theirs in names.items():
        for part, number in (("hidden", 1), ("out", 2)):
            grad = getattr(module, f"{ours}_{part}").grad
            assert error_ratio(grad, case[f"grad.weights.hyper.{theirs}.fc{number}_weights"]) <= EXACT


def test_every_number_of_heads_is_there_tied_and_untied() -> None:
    made, skipped = build(("attention", "reference", "official_order"), heads=(1, 3), **SIZES)
    both = [(heads, tied) for heads in (1, 3) for tied in (True, False)]
    assert [(c.heads, c.tied) for c in made if c.name == "hypermixing"] == both
    assert [(c.heads, c.tied) for c in made if c.name == "reference"] == both
    assert [(c.heads, c.tied) for c in made if c.name == "official_order"] == [(1, False), (3, False)]
    assert [c.heads for c in made if c.name == "attention"] == [8] and not skipped


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's and the package's own, on import
def test_all_peers_run_or_say_why_not() -> None:
    chosen = [name for name in PEERS if name != "compiled"]
    made, skipped = build(chosen, heads=(1,), **SIZES)
    x = torch.randn(2, 5, 24, dtype=torch.float64)
    for contender in made:
        assert contender.module(x).shape == x.shape, contender.name
    assert {c.name for c in made} | {s.name for s in skipped} == {"hypermixing", *chosen}
    assert "feature MLP" in (next(c for c in made if c.name == "encoder_layer").note or "")


def test_a_missing_package_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(peers, "import_module", missing)
    made, skipped = build(("x_transformers",), heads=(1,), **SIZES)
    assert {c.name for c in made} == {"hypermixing"}
    assert [s.name for s in skipped] == ["x_transformers"] and "\n" not in skipped[0].reason


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's and the package's own, on import
def test_compiled_contenders_keep_their_eager_module() -> None:
    made, _ = build(("compiled",), heads=(1,), **SIZES)
    compiled = {c.name: c for c in made if c.eager is not None}
    assert set(compiled) == {"compiled_attention", "compiled_hypermixing"}
    assert isinstance(compiled["compiled_hypermixing"].eager, HyperMixing)
