"""Layers of others, imported: the official one against its own outputs and gradients, SpeechBrain's as described."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_model
from torch import Tensor, nn

from hypermixer import HyperMixing, InputError
from hypermixer.mixers.imported import from_idiap, from_speechbrain
from hypermixer.ops.compare import TOLERANCES, error_ratio

FIXTURES = Path(__file__).parents[2] / ".." / "shared" / "fixtures"
CASES = ("cross_h1_bias_noln", "cross_h2_mask", "self_h1", "self_h4_bias_mask")
#: What the project promises against the official layer in float64.
PROMISED = 1e-9
DOUBLE = torch.float64
NETS = ("hyper.w1_gen.", "hyper.w2_gen.")


def foreign(
    heads: int = 3,
    width: int = 8,
    hidden: int = 5,
    *,
    bias: bool = True,
    norm: bool = True,
    dtype: torch.dtype = DOUBLE,
) -> dict[str, Tensor]:
    """Random weights under the names of both foreign layers; `width` and `hidden` are those of one head."""
    torch.manual_seed(0)
    state = {}
    for net in NETS:
        state[net + "fc1_weights"] = torch.randn(heads, width, width)
        state[net + "fc2_weights"] = torch.randn(heads, hidden, width)
        if bias:
            state[net + "fc1_biases"] = torch.randn(heads, width)
            state[net + "fc2_biases"] = torch.randn(heads, hidden)
    if norm:
        state["layer_norm.weight"], state["layer_norm.bias"] = torch.randn(2, heads * width).unbind()
    return {key: value.to(dtype) for key, value in state.items()}


def theirs(key: str) -> str:
    """Their name of our parameter."""
    net, _, part = key.partition(".")
    names = {
        "hidden.weight": "fc1_weights",
        "hidden.bias": "fc1_biases",
        "out.weight": "fc2_weights",
        "out.bias": "fc2_biases",
    }
    return f"layer_norm.{part}" if net == "norm" else NETS[net == "query_net"] + names[part]


@pytest.mark.parametrize("form", [None, "direct", "factored"])
@pytest.mark.parametrize("case", CASES)
def test_the_official_layers_outputs_and_gradients(case: str, form: str | None) -> None:
    path = FIXTURES / f"idiap_{case}.safetensors"
    if not path.exists():
        pytest.skip("needs the official layer's outputs in ../shared/fixtures, which stay out of the repository")
    case_of = load_file(path)
    with safe_open(path, "pt") as file:
        about = file.metadata()
    weights = {k.removeprefix("weights."): v for k, v in case_of.items() if k.startswith("weights.")}
    mixing = HyperMixing.from_idiap(weights, num_heads=int(about["num_heads"]))
    assert (mixing.d_model, mixing.d_hidden) == (int(about["d_model"]), int(about["d_hidden"]))
    assert (mixing.norm is not None) == (about["layer_norm"] == "True")
    mixing.form = form

    inputs = {k.removeprefix("input."): v.requires_grad_() for k, v in case_of.items() if k.startswith("input.")}
    key_keep, query_keep = (
        None if f"{name}_dropped" not in case_of else case_of[f"{name}_dropped"] == 0 for name in ("key", "query")
    )
    if about["cross"] == "True":
        y = mixing(inputs["query"], inputs["key"], inputs["value"], key_keep=key_keep, query_keep=query_keep)
    else:
        y = mixing(inputs["key"], key_keep=key_keep, query_keep=query_keep)
    expected, upstream = case_of["output"], case_of["output_grad_in"]
    if query_keep is not None:  # a dropped query is zero here, and the LayerNorm's bias there
        kept = query_keep.unsqueeze(-1)
        dropped_upstream = upstream.masked_fill(kept, 0).sum((0, 1))
        expected, upstream = expected.masked_fill(~kept, 0), upstream.masked_fill(~kept, 0)
    else:
        dropped_upstream = torch.zeros(mixing.d_model, dtype=DOUBLE)
    y.backward(upstream)

    assert error_ratio(y, expected) < PROMISED
    for name, x in inputs.items():
        assert x.grad is not None and error_ratio(x.grad, case_of[f"grad.{name}"]) < PROMISED, name
    for name, parameter in mixing.named_parameters():
        grad = case_of[f"grad.weights.{theirs(name)}"]
        if name == "norm.bias":  # theirs hears of dropped queries too
            grad = grad - dropped_upstream
        assert parameter.grad is not None and error_ratio(parameter.grad, grad) < PROMISED, name


def speechbrain(state: dict[str, Tensor], x: Tensor, kept: int) -> Tensor:
    """SpeechBrain's layer as its description says it, for one text x [N, D] of which the first `kept` are real."""
    x = x[:kept]
    heads, width = len(state["hyper.w1_gen.fc1_weights"]), x.shape[1]
    angles = torch.arange(kept, dtype=x.dtype).unsqueeze(1) / 10_000 ** (torch.arange(0, width, 2).to(x) / width)
    code = torch.zeros_like(x)
    code[:, 0::2], code[:, 1::2] = angles.sin(), angles.cos()
    size, outputs = width // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        w1, w2 = (
            F.gelu((x + code)[:, part] @ state[net + "fc1_weights"][head].T + state[net + "fc1_biases"][head])
            @ state[net + "fc2_weights"][head].T
            + state[net + "fc2_biases"][head]
            for net in NETS
        )
        outputs.append(w2 @ F.gelu(w1.T @ x[:, part]))
    return F.layer_norm(torch.cat(outputs, 1), (width,), state["layer_norm.weight"], state["layer_norm.bias"])


@pytest.mark.parametrize("heads", [1, 3])
def test_speechbrains_layer_as_described(heads: int) -> None:
    state = {k: v.requires_grad_() for k, v in foreign(heads, 24 // heads, 7).items()}
    mixing = HyperMixing.from_speechbrain(state, num_heads=heads)
    x, upstream = torch.randn(2, 2, 9, 24, dtype=DOUBLE).unbind()
    x.requires_grad_()
    lengths = (9, 4)
    keep = torch.arange(9) < torch.tensor(lengths).unsqueeze(1)
    upstream = upstream * keep.unsqueeze(-1)
    expected = torch.stack(
        [F.pad(speechbrain(state, row, n), (0, 0, 0, 9 - n)) for row, n in zip(x, lengths, strict=True)]
    )
    expected.backward(upstream)
    assert x.grad is not None
    expected_grad = x.grad.clone()
    x.grad.zero_()
    y = mixing(x, key_keep=keep)
    y.backward(upstream)
    assert error_ratio(y, expected) < PROMISED
    assert error_ratio(x.grad, expected_grad) < PROMISED
    for name, parameter in mixing.named_parameters():
        grad = state[theirs(name)].grad
        assert parameter.grad is not None and grad is not None, name
        assert error_ratio(parameter.grad, grad) < PROMISED, name


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_width_bias_and_norm_are_read_from_the_keys(bias: bool, norm: bool) -> None:
    options, state = from_idiap(foreign(bias=bias, norm=norm))
    assert options == {
        "d_model": 24,
        "d_hidden": 15,
        "num_heads": 3,
        "tied": False,
        "bias": bias,
        "normalization": "layer" if norm else "none",
        "positions": "idiap",
    }
    made = HyperMixing(**{**options, "positions": "sinusoidal"})
    assert {k: v.shape for k, v in made.state_dict().items()} == {k: v.shape for k, v in state.items()}


@pytest.mark.parametrize("source", ["from_idiap", "from_speechbrain"])
@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32, torch.bfloat16])
def test_the_dtype_is_kept_and_nothing_is_shared(source: str, dtype: torch.dtype) -> None:
    state = foreign(dtype=dtype)
    before = {key: value.clone() for key, value in state.items()}
    mixing = getattr(HyperMixing, source)(state, num_heads=3)
    for name, parameter in mixing.named_parameters():
        assert parameter.dtype == dtype and parameter.requires_grad and torch.equal(parameter, state[theirs(name)])
        parameter.data.zero_()
    assert all(torch.equal(state[key], value) for key, value in before.items())
    assert mixing(torch.randn(2, 5, 24).to(dtype)).dtype == dtype


def test_stored_position_tables_are_ignored() -> None:
    state = foreign()
    for source, key in ((from_idiap, "token_information.pe"), (from_speechbrain, "positional_encoding.pe")):
        with_table = source({**state, key: torch.full((1, 7, 24), math.nan)})
        assert with_table[0] == source(state)[0] and with_table[1].keys() == source(state)[1].keys()


def test_a_layer_inside_a_whole_model() -> None:
    model = {f"layers.{i}.mixing.{key}": value + i for i in range(2) for key, value in foreign().items()}
    model["embed.weight"] = torch.zeros(3)
    options, state = from_idiap(model, 3, prefix="layers.1.mixing.")
    assert options["d_model"] == 24
    assert torch.equal(state["query_net.out.bias"], model["layers.1.mixing.hyper.w2_gen.fc2_biases"])


def tied_state() -> dict[str, Tensor]:
    state = foreign()
    return {key: state[key.replace("w2_gen", "w1_gen")] for key in state}


def test_tied_only_when_asked_for() -> None:
    state = tied_state()
    untied, tied = HyperMixing.from_speechbrain(state), HyperMixing.from_speechbrain(state, tied=True)
    assert not untied.tied and tied.tied
    assert untied.query_net is not None
    assert untied.query_net.out.weight.data_ptr() != untied.key_net.out.weight.data_ptr()
    x = torch.randn(2, 5, 24, dtype=DOUBLE)
    assert error_ratio(tied(x), untied(x)) < TOLERANCES[DOUBLE].exact
    with pytest.raises(InputError, match=r"'hyper\.w1_gen\.fc1_weights' and 'hyper\.w2_gen\.fc1_weights' differ"):
        from_speechbrain(foreign(), tied=True)


def test_tied_weights_that_safetensors_stored_once(tmp_path: Path) -> None:
    module = nn.Module()
    module.hyper = nn.Module()
    module.hyper.w1_gen = module.hyper.w2_gen = nn.ParameterDict(
        {k.removeprefix(NETS[0]): v for k, v in foreign().items() if k.startswith(NETS[0])}
    )
    save_model(module, str(tmp_path / "tied.safetensors"))
    state = load_file(tmp_path / "tied.safetensors")
    assert len(state) == 4
    options, ours = from_idiap(state, 3, tied=True)
    assert options["tied"] and torch.equal(ours["key_net.out.weight"], state["hyper.w1_gen.fc2_weights"])
    with pytest.raises(InputError, match="use tied=True where one network serves both"):
        from_idiap(state, 3)


def without(key: str) -> dict[str, Tensor]:
    return {k: v for k, v in foreign().items() if k != key}


WEIGHTS = "hyper.w1_gen.fc1_weights"
BAD = {
    "empty": ({}, {}, "empty"),
    "heads": (foreign(), {"num_heads": 4}, r"num_heads=4 does not fit .* use num_heads=3"),
    "missing": (without("hyper.w2_gen.fc2_biases"), {}, r"no 'hyper\.w2_gen\.fc2_biases', the nearest"),
    "half a norm": (without("layer_norm.bias"), {}, r"no 'layer_norm\.bias', .*'layer_norm\.weight'"),
    "no anchor": (without(WEIGHTS), {}, r"no 'hyper\.w1_gen\.fc1_weights'"),
    "unknown": ({**foreign(), "layer_norm.wieght": torch.ones(24)}, {}, r"'layer_norm\.wieght'.*'layer_norm\.weight'"),
    "own information": ({**foreign(), "token_information.w": torch.ones(24)}, {}, r"'token_information\.w'"),
    "other layer": ({**foreign(), "positional_encoding.pe": torch.ones(1, 2, 24)}, {}, "use from_speechbrain"),
    "prefix forgotten": ({f"a.{k}": v for k, v in foreign().items()}, {}, r"prefix=''.*a\."),
    "prefix wrong": ({f"enc.{k}": v for k, v in foreign().items()}, {"prefix": "emc."}, r"did you mean 'enc\.'"),
    "prefix too much": (foreign(), {"prefix": "a."}, "leave it out"),
    "nothing there": ({"a.b": torch.ones(1)}, {"prefix": "b."}, r"prefix='b\.'.*a\.b"),
    "flat": ({**foreign(), WEIGHTS: torch.ones(24, 8, dtype=DOUBLE)}, {}, "3 dimensions"),
    "not square": ({**foreign(), WEIGHTS: torch.ones(3, 7, 8, dtype=DOUBLE)}, {}, r"fc1_weights' .*\(3, 8, 8\)"),
    "norm's width": ({**foreign(), "layer_norm.weight": torch.ones(8, dtype=DOUBLE)}, {}, r"\(24,\)"),
    "two dtypes": ({**foreign(), "layer_norm.weight": torch.ones(24)}, {}, r"'layer_norm\.weight' is torch\.float32"),
    "integers": ({k: v.long() for k, v in foreign().items()}, {}, "floating-point"),
    "no tensor": ({**foreign(), WEIGHTS: [1.0]}, {}, "must be a tensor, got list"),
}


@pytest.mark.parametrize("what", BAD)
def test_errors_name_the_key_and_the_nearest(what: str) -> None:
    state, options, message = BAD[what]
    with pytest.raises(InputError, match=message) as error:
        from_idiap(state, **options)  # pyright: ignore[reportArgumentType] - wrong on purpose
    assert "\n" not in str(error.value)


def test_speechbrains_layer_has_biases_and_a_norm() -> None:
    for state in (foreign(bias=False), foreign(norm=False)):
        with pytest.raises(InputError, match=r"has no '\S+(biases|weight)'"):
            from_speechbrain(state)
    with pytest.raises(InputError, match="use from_idiap"):
        from_speechbrain({**foreign(), "token_information.pe": torch.ones(1, 2, 24)})
