import copy
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hypermixer import HyperMixing, InputError, replace_attention
from hypermixer.mixers.adapter import HyperMixingAttention
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
ROOT = Path(__file__).parent.parent.parent
D, H, B, N = 24, 2, 3, 7  # an even number of heads: PyTorch's fast path takes no other


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the adapters that ran, in turn."""
    ran: list[str] = []
    forward = HyperMixingAttention.forward

    def counted(self: HyperMixingAttention, *args: Any, **options: Any) -> tuple[Tensor, None]:
        ran.append(self.name)
        return forward(self, *args, **options)

    monkeypatch.setattr(HyperMixingAttention, "forward", counted)
    return ran


def padding() -> Tensor:
    """[B, N], torch's sense: True = ignore. One full text, one of odd length, one with nothing in it."""
    return torch.arange(N).expand(B, N) >= torch.tensor([[N], [3], [0]])


def encoder(**options: Any) -> nn.TransformerEncoder:
    options = {"dropout": 0.0, "batch_first": True} | options
    fast = options["batch_first"] and not options.get("norm_first")
    layer = nn.TransformerEncoderLayer(D, H, 36, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=bool(fast))


def by_hand(model: nn.TransformerEncoder, x: Tensor, keep: Tensor | None, norm_first: bool) -> Tensor:
    """The encoder's equations with HyperMixing called directly, x [B, N, D]."""
    layer: Any
    for layer in model.layers:
        mixing = layer.self_attn.mixing
        if norm_first:
            x = x + mixing(layer.norm1(x), key_keep=keep)
            x = x + layer.linear2(layer.linear1(layer.norm2(x)).relu())
        else:
            x = layer.norm1(x + mixing(x, key_keep=keep))
            x = layer.norm2(x + layer.linear2(layer.linear1(x).relu()))
    return x


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_an_encoder_calls_the_adapter_in_train_and_eval(
    batch_first: bool, norm_first: bool, masked: bool, calls: list[str]
) -> None:
    model = encoder(batch_first=batch_first, norm_first=norm_first)
    names = ["layers.0.self_attn", "layers.1.self_attn"]
    assert replace_attention(model, d_hidden=30) == names
    x, pad = torch.randn(B, N, D), padding() if masked else None
    expected = by_hand(model, x, None if pad is None else ~pad, norm_first)
    for training in (True, False):
        model.train(training)
        for inference in (False, True):
            calls.clear()
            with torch.inference_mode(inference):
                y = model(x if batch_first else x.transpose(0, 1), src_key_padding_mask=pad)
            assert calls == names
            assert error_ratio(y if batch_first else y.transpose(0, 1), expected) <= EXACT


def test_gradients_of_an_encoder_are_those_of_hypermixing() -> None:
    model, x, upper = encoder(), torch.randn(B, N, D), torch.randn(B, N, D)
    replace_attention(model)
    results = []
    for run in (
        lambda x: model(x, src_key_padding_mask=padding()),
        lambda x: by_hand(model, x, ~padding(), False),
    ):
        tokens = x.clone().requires_grad_()
        model.zero_grad()
        run(tokens).backward(upper)
        results.append([tokens.grad, *(p.grad for p in model.parameters())])
    for actual, expected in zip(*results, strict=True):
        assert actual is not None and expected is not None and actual.any()
        assert error_ratio(actual, expected) <= EXACT


def test_padding_changes_nothing() -> None:
    model = encoder().eval()
    replace_attention(model)
    x = torch.randn(1, N, D)
    pad = torch.arange(N)[None] >= 4
    with torch.inference_mode():
        alone, padded = model(x[:, :4]), model(x, src_key_padding_mask=pad)
    assert error_ratio(padded[:, :4], alone) <= EXACT
    assert padded.isfinite().all()


def test_a_part_of_an_encoder_may_be_swapped() -> None:
    """The encoder, which was not shown to `replace_attention`, must not compute attention nor nest its tensors."""
    model, x = encoder().eval(), torch.randn(B, N, D)
    assert model.use_nested_tensor
    assert replace_attention(model.layers) == ["0.self_attn", "1.self_attn"]
    with torch.inference_mode():
        y = model(x, src_key_padding_mask=padding())
    assert error_ratio(y, by_hand(model, x, ~padding(), False)) <= EXACT


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused_with_advice() -> None:
    model, x = encoder().eval(), torch.randn(B, N, D)
    pad = torch.arange(N).expand(B, N) >= torch.tensor([[N], [3], [1]])
    replace_attention(model.layers[1])
    with torch.inference_mode(), pytest.raises(InputError, match=r"self_attn: .*use_nested_tensor"):
        model(x, src_key_padding_mask=pad)
    model.use_nested_tensor = False
    with torch.inference_mode():
        assert model(x, src_key_padding_mask=pad).isfinite().all()


def test_a_swapped_layer_may_be_stacked_afterwards(calls: list[str]) -> None:
    layer = nn.TransformerEncoderLayer(D, H, 36, dropout=0.0, batch_first=True)
    replace_attention(layer)
    with pytest.warns(UserWarning, match="use_nested_tensor is False"):
        model = nn.TransformerEncoder(layer, 3)
    adapters = {id(m) for m in model.modules() if isinstance(m, HyperMixingAttention)}
    assert len(adapters) == 3
    x = torch.randn(B, N, D)
    with torch.inference_mode():
        y = model.eval()(x, src_key_padding_mask=padding())
    assert calls == ["self_attn"] * 3
    assert error_ratio(y, by_hand(model, x, ~padding(), False)) <= EXACT


def test_projections_that_are_not_there_say_so() -> None:
    adapter: Any = HyperMixingAttention(D, H)
    with pytest.raises(InputError, match="no projections"):
        F.linear(torch.randn(N, D), adapter.out_proj.weight, adapter.out_proj.bias)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_decoder_mixes_with_itself_and_with_the_memory(batch_first: bool, calls: list[str]) -> None:
    model = nn.Transformer(D, H, 1, 1, 36, dropout=0.0, batch_first=batch_first, norm_first=True)
    assert len(replace_attention(model, num_heads=3)) == 3
    x, y = torch.randn(B, N, D), torch.randn(B, 5, D)
    source, target = (t if batch_first else t.transpose(0, 1) for t in (x, y))
    pad = padding()
    masks = {"src_key_padding_mask": pad, "memory_key_padding_mask": pad, "tgt_key_padding_mask": pad[:, :5]}
    results = []
    for training in (True, False):
        results.append(model.train(training)(source, target, **masks))
        clean = source.masked_fill((pad if batch_first else pad.T).unsqueeze(-1), 0)
        assert error_ratio(model(clean, target, **masks), results[-1]) <= EXACT
        assert not torch.allclose(model(torch.randn_like(source), target, **masks), results[-1])
    assert error_ratio(results[1], results[0]) <= EXACT
    assert set(calls) == {
        "encoder.layers.0.self_attn",
        "decoder.layers.0.self_attn",
        "decoder.layers.0.multihead_attn",
    }
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    with pytest.raises(InputError, match=r"decoder\.layers\.0\.self_attn: .* attn_mask"):
        model(source, target, tgt_mask=causal)
    with pytest.raises(InputError, match=r"decoder\.layers\.0\.self_attn: .* is_causal"):
        model(source, target, tgt_is_causal=True)


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_call_is_that_of_multihead_attention(batch_first: bool) -> None:
    torch_one = nn.MultiheadAttention(D, 3, batch_first=batch_first)
    adapter = HyperMixingAttention.in_place_of(torch_one)
    query, key, value = torch.randn(B, 5, D), torch.randn(B, N, D), torch.randn(B, N, D)
    pad = padding()
    expected = adapter.mixing(query, key, value, key_keep=~pad)
    tokens = [t if batch_first else t.transpose(0, 1) for t in (query, key, value)]
    for mask in (pad, torch.zeros(B, N).masked_fill(pad, -math.inf), torch.zeros(B, N).masked_fill(pad, -1e9)):
        for options in ({}, {"need_weights": False}, {"average_attn_weights": False}):
            y, weights = adapter(*tokens, key_padding_mask=mask, **options)
            assert weights is None and y.shape == torch_one(*tokens, key_padding_mask=mask)[0].shape
            assert error_ratio(y if batch_first else y.transpose(0, 1), expected) <= EXACT
    positional = adapter(*tokens, pad, False, None, True, False)[0]
    assert error_ratio(positional if batch_first else positional.transpose(0, 1), expected) <= EXACT


@pytest.mark.parametrize("batch_first", [True, False])
def test_one_sequence_without_a_batch(batch_first: bool) -> None:
    adapter = HyperMixingAttention(D, 3, batch_first=batch_first)
    for tokens in (1, N):
        x, pad = torch.randn(tokens, D), torch.arange(tokens) >= 4
        expected = adapter.mixing(x[None], key_keep=~pad[None])[0]
        y, weights = adapter(x, x, x, key_padding_mask=pad)
        assert weights is None and error_ratio(y, expected) <= EXACT
        assert not y[pad].any()  # self-mixing: ignored queries are zero
        crossed, _ = adapter(x[:2], x, x, key_padding_mask=pad)
        assert crossed.shape == x[:2].shape and crossed.all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"need_weights": True}, "need_weights"),
        ({"attn_mask": torch.zeros(N, N)}, "attn_mask"),
        ({"is_causal": True}, "is_causal"),
        ({"key_padding_mask": torch.zeros(N, B, dtype=torch.bool)}, r"\(3, 7\)"),
        ({"key_padding_mask": torch.ones(B, N, dtype=torch.int64)}, "int64"),
        ({"key_padding_mask": torch.full((B, N), -1.5)}, "0 .*-inf"),
        ({"key_padding_mask": torch.full((B, N), math.nan)}, "0 .*-inf"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_what_cannot_be_honoured_raises(options: dict[str, Any], message: str) -> None:
    x = torch.randn(B, N, D)
    adapter = HyperMixingAttention(D, H, batch_first=True, name="mine")
    with pytest.raises(InputError, match=f"^mine: .*{message}"):
        adapter(x, x, x, **options)
    with pytest.raises(InputError, match="two dimensions"):
        adapter(x, x[0], x[0])


@pytest.mark.parametrize(
    "has", [{"add_zero_attn": True}, {"add_bias_kv": True}, {"kdim": 12}, {"vdim": 12}], ids=lambda v: next(iter(v))
)
def test_what_cannot_be_swapped_raises_before_anything_is(has: dict[str, Any]) -> None:
    model = nn.ModuleDict({"good": nn.MultiheadAttention(D, H), "bad": nn.MultiheadAttention(D, H, **has)})
    with pytest.raises(InputError, match=f"^bad .*{next(iter(has))}"):
        replace_attention(model)
    assert all(type(m) is nn.MultiheadAttention for m in model.values())


def test_requests_that_make_no_sense_raise() -> None:
    with pytest.raises(InputError, match=r"no nn\.MultiheadAttention in Linear"):
        replace_attention(nn.Linear(2, 2))
    with pytest.raises(InputError, match="holds it"):
        replace_attention(nn.MultiheadAttention(D, H))
    with pytest.raises(InputError, match="did you mean 'positions'"):
        replace_attention(encoder(), position="none")
    with pytest.raises(InputError, match="batch_first"):
        replace_attention(encoder(), batch_first=False)
    with pytest.raises(InputError, match=r"^layers\.0\.self_attn: .*num_heads=5"):
        replace_attention(encoder(), num_heads=5)
    swapped = encoder()
    replace_attention(swapped)
    with pytest.raises(InputError, match="Found no"):
        replace_attention(swapped)


def test_options_reach_hypermixing() -> None:
    model, given = encoder(), {"bias": False, "normalization": "length", "positions": "none", "form": "direct"}
    replace_attention(model, d_hidden=12, num_heads=3, tied=True, **given)
    adapter: Any = model.layers[1].self_attn
    mixing: HyperMixing = adapter.mixing
    assert (mixing.d_hidden, mixing.num_heads, mixing.tied) == (12, 3, True)
    assert (mixing.normalization, mixing.positions, mixing.form) == ("length", "none", "direct")
    assert mixing.key_net.out.bias is None
    x = torch.randn(N, B, D)
    with pytest.raises(InputError, match="Tied"):
        adapter(x, x.clone(), x)


def test_what_the_module_was_stays() -> None:
    model = nn.Sequential(nn.MultiheadAttention(D, 3, batch_first=True, dtype=torch.bfloat16).eval())
    model.add_module("far", nn.MultiheadAttention(D, 4, device="meta"))
    assert replace_attention(model) == ["0", "far"]
    near, far = model
    assert isinstance(near, HyperMixingAttention) and isinstance(far, HyperMixingAttention)
    assert not near.training and not near.mixing.training and far.training
    assert near.batch_first and not far.batch_first
    assert (near.embed_dim, near.num_heads, far.num_heads) == (D, 3, 4)
    assert near.mixing.num_heads == 3 and near.mixing.d_hidden == 2 * D and not near.mixing.tied
    assert {(p.dtype, p.device.type) for p in near.parameters()} == {(torch.bfloat16, "cpu")}
    assert {(p.dtype, p.device.type) for p in far.parameters()} == {(torch.float64, "meta")}


def test_shared_attention_stays_shared() -> None:
    shared, block = nn.MultiheadAttention(D, H), nn.ModuleList([nn.MultiheadAttention(D, H)])
    model: Any = nn.ModuleDict({"a": shared, "b": shared, "c": block, "d": block})
    assert replace_attention(model) == ["a", "b", "c.0", "d.0"]
    assert model["a"] is model["b"] and model["c"] is model["d"]
    assert isinstance(model["a"], HyperMixingAttention) and model["a"] is not model["c"][0]


def test_state_dict_copies_and_pickles() -> None:
    x, pad = torch.randn(B, N, D), padding()
    first, second = encoder().eval(), encoder().eval()
    replace_attention(first)
    replace_attention(second)
    expected = first(x, src_key_padding_mask=pad)
    assert not torch.allclose(second(x, src_key_padding_mask=pad), expected)
    second.load_state_dict(first.state_dict())
    assert "layers.1.self_attn.mixing.key_net.hidden.weight" in first.state_dict()
    for model in (second, copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        with torch.inference_mode():
            assert error_ratio(model(x, src_key_padding_mask=pad), expected) <= EXACT


def test_autocast_in_evaluation() -> None:
    model, x = encoder().float().eval(), torch.randn(B, N, D).float()
    replace_attention(model)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x, src_key_padding_mask=padding())
    expected = model(x, src_key_padding_mask=padding())
    assert error_ratio(y, expected) <= TOLERANCES[torch.bfloat16].rounded


def test_work_grows_with_length_alone() -> None:
    model = encoder().eval()
    replace_attention(model)
    counts = []
    for tokens in (256, 512, 1024):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(torch.randn(1, tokens, D), src_key_padding_mask=torch.zeros(1, tokens, dtype=torch.bool))
        counts.append(counter.get_total_flops())
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0]) > 0


def test_the_docs_python_runs() -> None:
    path = ROOT / "docs" / "adapters.md"
    if not path.exists():
        pytest.skip("docs/ is not beside the tests")
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
    assert len(blocks) == 1
    names: dict[str, Any] = {}
    exec(compile(blocks[0], str(path), "exec"), names)
    assert names["y"].shape == names["x"].shape


def test_the_example_runs() -> None:
    path = ROOT / "examples" / "linear_time_encoders.py"
    if not path.exists():
        pytest.skip("examples/ is not beside the tests")
    command = [sys.executable, "-W", "error", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("HyperMixing") == 4 and "BERT" in run.stdout
