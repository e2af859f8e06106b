"""The compiled kernels: the same bits every time, any number of threads, and what happens where they cannot be had."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from hypermixer import HyperMixing
from hypermixer.errors import InputError
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.hypermixing import CONSTANTS, Constants, OutputNorm, native, resolve_backend
from hypermixer.ops.hypermixing.native import build
from hypermixer.ops.hypermixing.norm import layer_norm

obstacle = native.obstacle("cpu", torch.float32)
compiled = pytest.mark.skipif(obstacle is not None, reason=str(obstacle))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def step(layer: HyperMixing, x: torch.Tensor, **options: torch.Tensor) -> list[torch.Tensor]:
    """Output and the gradients of x and every parameter."""
    x = x.detach().requires_grad_()
    y = layer(x, **options)
    return [y, *torch.autograd.grad(y.float().square().sum(), [x, *layer.parameters()])]


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", ["direct", "factored"])
@pytest.mark.parametrize("chunk", [2**17, 2**12])
def test_the_same_bits_every_time(chunk: int, form: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONSTANTS, "native", Constants(chunk_bytes=chunk, each_head=True))
    torch.manual_seed(0)
    layer = HyperMixing(48, 81, 3, backend="native", form=form).to(dtype)
    x = torch.randn(5, 61, 48).to(dtype)
    first = step(layer, x)
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(step(layer, x), first, strict=True))


@compiled
@pytest.mark.parametrize("form", ["direct", "factored"])
@pytest.mark.parametrize("shape", [(1, 700, 48), (7, 9, 48), (1, 1, 48)])
def test_any_number_of_threads(shape: tuple[int, ...], form: str, threads: None) -> None:
    """More threads than there is work for, too."""
    torch.manual_seed(0)
    layer, x = HyperMixing(48, 80, 2, backend="native", form=form), torch.randn(shape)
    results = []
    for count in (1, 2, 3, 16):
        torch.set_num_threads(count)
        results.append(step(layer, x))
    expected = results[0]
    for result in results[1:]:
        for actual, wanted in zip(result, expected, strict=True):
            assert error_ratio(actual, wanted) <= TOLERANCES[torch.float32].exact


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("hidden", [7, 81])
@pytest.mark.parametrize("layout", ["masked", "packed", "other keys"])
def test_threads_that_share_few_sequences(
    layout: str, hidden: int, tied: bool, dtype: torch.dtype, threads: None
) -> None:
    """The direct form, with more threads than sequences and heads: as one thread has it, gradients too."""
    if tied and layout == "other keys":
        pytest.skip("tied HyperMixing mixes a sequence with itself")
    torch.manual_seed(0)
    layer = HyperMixing(24, hidden, tied=tied, backend="native", form="direct").to(dtype)
    x = torch.randn(2, 37, 24).to(dtype)
    options: dict[str, torch.Tensor] = {}
    if layout == "masked":
        options["key_keep"] = torch.arange(37) < torch.tensor([[37], [30]])
    elif layout == "packed":
        x, options["key_cu_seqlens"] = x.flatten(0, 1)[:50], torch.tensor([0, 3, 50])
    else:
        options["key"] = torch.randn(2, 5, 24).to(dtype)
    results = []
    for count in (1, 3, 7, 16):
        torch.set_num_threads(count)
        with torch.inference_mode():
            results.append([layer(x, **options)])
        results[-1] += step(layer, x, **options)
    for result in results[1:]:
        for actual, wanted in zip(result, results[0], strict=True):
            assert error_ratio(actual, wanted) <= TOLERANCES[dtype].exact


@compiled
def test_memory_is_given_back_after_a_large_call() -> None:
    """What a call needs beyond 64 MiB a thread does not stay."""
    script = (
        "import resource, torch\n"
        "from hypermixer import HyperMixing\n"
        "def rss(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "layer = HyperMixing(512, 1024, backend='native', normalization='none', form='direct')\n"
        "with torch.inference_mode():\n"
        "    layer(torch.randn(1, 8, 512)); before = rss()\n"
        "    layer(torch.randn(1, 40_000, 512))\n"
        "print((rss() - before) / 2**20)\n"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) < 250  # the weights generated for 40,000 tokens alone take 156 MiB twice


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [2, 5, 16, 33, 256])
@pytest.mark.parametrize("affine", [True, False])
def test_the_layer_norm(affine: bool, width: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, grad = (torch.randn(3, 7, width).to(dtype) * 2 + 1 for _ in range(2))
    parameters = [torch.randn(width).to(dtype) for _ in range(2)] if affine else []
    x[0, 0] = x[0, 0, 0]  # a constant row

    def run(wide: bool) -> list[torch.Tensor]:
        leaves = [(t.double() if wide else t).detach().requires_grad_() for t in (x, *parameters)]
        norm = OutputNorm(leaves[1], leaves[2]) if affine else OutputNorm(None, None)
        if wide:
            y = F.layer_norm(leaves[0], (width,), norm.weight, norm.bias)
        else:
            y = layer_norm(leaves[0], norm, native=True)
        return [y, *torch.autograd.grad(y, leaves, grad.to(y.dtype))]

    for actual, expected in zip(run(wide=False), run(wide=True), strict=True):
        assert error_ratio(actual, expected) <= 10 * TOLERANCES[dtype].rounded
    with torch.inference_mode():
        place = x.clone()
        norm = OutputNorm(parameters[0], parameters[1]) if affine else None
        assert layer_norm(place, norm, native=True) is place
    expected = F.layer_norm(x.double(), (width,), *(p.double() for p in parameters))  # pyright: ignore[reportArgumentType]
    assert error_ratio(place, expected) <= 10 * TOLERANCES[dtype].rounded


@pytest.mark.parametrize("backend", ["auto", "dense", "reference"])
@pytest.mark.parametrize("layer, tokens", [("bfloat16", "float32"), ("float32", "bfloat16"), ("float64", "float32")])
def test_tokens_and_weights_of_different_dtypes(layer: str, tokens: str, backend: str) -> None:
    mixing, x = HyperMixing(8, 8, backend=backend).to(getattr(torch, layer)), torch.randn(1, 3, 8)
    with pytest.raises(InputError, match=f"query is torch.{tokens}, weights torch.{layer}"):
        mixing(x.to(getattr(torch, tokens)))
    with pytest.raises(InputError, match="share a device"):
        mixing.to("meta")(x.to(getattr(torch, layer)))


@pytest.mark.parametrize("backend", ["auto", "dense", "reference"])
@pytest.mark.parametrize("shape", [(1, 8), (4, 8), (1, 5, 8), (5, 4), (2, 5, 4), (5,)])
def test_positions_for_every_token(shape: tuple[int, ...], backend: str) -> None:
    mixing, codes = HyperMixing(8, 8, backend=backend), torch.randn(shape)
    with pytest.raises(InputError, match="positions must have shape"):
        mixing(torch.randn(2, 5, 8), query_positions=codes, key_positions=codes)
    if len(shape) == 2:
        with pytest.raises(InputError, match="shape"):
            mixing(torch.randn(10, 8), key_cu_seqlens=torch.tensor([0, 5, 10]), key_positions=codes)


@compiled
@pytest.mark.parametrize("grad", [True, False])
def test_what_has_no_address(grad: bool) -> None:
    """Shapes without numbers, and one call mapped over many inputs."""
    layer, x = HyperMixing(16, 24, 2), torch.randn(3, 2, 5, 16)
    with torch.set_grad_enabled(grad):
        mapped = torch.func.vmap(layer)(x)
        assert error_ratio(mapped, torch.stack([layer(each) for each in x])) <= TOLERANCES[torch.float32].exact
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            assert layer(mode.from_tensor(x[0])).shape == (2, 5, 16)


@compiled
def test_one_long_sequence_is_cut_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone and beside others it is the same function."""
    torch.manual_seed(0)
    layer, x = HyperMixing(32, 48, backend="native", form="factored"), torch.randn(3, 1, 900, 32)
    monkeypatch.setitem(CONSTANTS, "native", Constants(chunk_bytes=2**15, each_head=True))
    with torch.inference_mode():
        alone, together = torch.cat([layer(each) for each in x]), layer(x.flatten(0, 1))
    assert error_ratio(alone, together) <= TOLERANCES[torch.float32].exact


def test_what_cannot_run_here_says_why() -> None:
    with pytest.raises(InputError, match="float32 and bfloat16, and these tensors are float64"):
        resolve_backend("native", dtype=torch.float64)
    with pytest.raises(InputError, match="on 'cuda'"):
        resolve_backend("native", device_type="cuda")
    choice = resolve_backend("auto", dtype=torch.float64)
    assert choice.name == "dense" and "float64" in choice.reason


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing is compiled yet, and nothing is remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HYPERMIXER_NATIVE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "variable, value, reason",
    [
        ("HYPERMIXER_NATIVE", "0", "switches the compiled kernels off"),
        ("CXX", "no-such-compiler", "no C++ compiler here (no-such-compiler)"),
        ("CXX", "false", "false cannot compile the kernels (exit 1)"),
        ("CXX", "/no/such/folder/g++ -m64", "no C++ compiler here (/no/such/folder/g++ -m64)"),
        ("XDG_CACHE_HOME", "", ""),
    ],
)
def test_without_kernels_dense_serves(
    variable: str, value: str, reason: str, unbuilt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    if variable == "XDG_CACHE_HOME":  # neither it nor a home

        def no_home() -> Path:
            raise RuntimeError("no home")

        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", no_home)
        reason = "cannot be made or read (no home)"
    with pytest.raises(build.NotBuilt) as raised:
        build.library()
    assert reason in str(raised.value)
    assert not [path for path in unbuilt.rglob("*") if path.is_file()]
    monkeypatch.setattr(native, "_not_built", lambda: str(raised.value))
    layer = HyperMixing(8, 8)
    assert layer.backend.name == "dense" and reason in layer.backend.reason
    assert layer(torch.randn(1, 3, 8)).shape == (1, 3, 8)
    with pytest.raises(InputError, match="cannot run here"):
        HyperMixing(8, 8, backend="native")


@compiled
def test_it_is_compiled_once(unbuilt: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O0"))
    build.library()
    assert "Compiling" in capfd.readouterr().err
    (library,) = [path for path in unbuilt.rglob("*") if path.is_file()]
    assert library.suffix == ".so"
    build.library()
    assert not capfd.readouterr().err
    before = build.fingerprint(build.find_compiler())
    monkeypatch.setattr(build, "FLAGS", build.FLAGS[:-1])
    assert build.fingerprint(build.find_compiler()) != before


@compiled
def test_a_cache_that_cannot_be_written(unbuilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O0"))
    (unbuilt / "hypermixer").write_text("a file where the folder should be")
    assert build.library().hypermixer_mixing


@compiled
def test_a_broken_library_is_made_anew(unbuilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O0"))
    path = build.cache_folder() / f"mixing-{build.fingerprint(build.find_compiler())}.so"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a library")
    assert build.library().hypermixer_mixing


@compiled
def test_a_library_that_does_not_load(unbuilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def useless(compiler: list[str], path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a library")
        return path

    monkeypatch.setattr(build, "build", useless)
    with pytest.raises(build.NotBuilt, match="cannot be made or read"):
        build.library()


@compiled
@pytest.mark.parametrize("form", ["direct", "factored"])
@pytest.mark.parametrize(
    "tokens, width, hidden, heads",
    [(30, 128, 256, 1), (33, 40, 100, 1), (47, 96, 177, 3), (64, 64, 64, 1), (301, 72, 50, 1), (9, 130, 1100, 1)],
)
def test_products_large_enough_for_tile_registers(tokens: int, width: int, hidden: int, heads: int, form: str) -> None:
    """Where the processor has them: rows, columns and reductions of whole tiles, of less than one, and with a rest."""
    torch.manual_seed(0)
    layer = HyperMixing(width, hidden, heads, tied=False, normalization="length", backend="native", form=form)
    layer = layer.bfloat16()
    wide = HyperMixing(width, hidden, heads, tied=False, normalization="length", backend="dense", form=form).double()
    wide.load_state_dict(layer.state_dict())
    x = torch.randn(3, tokens, width).bfloat16()
    keep = torch.arange(tokens) < torch.tensor([[tokens], [tokens // 2], [tokens - 1]])
    for actual, wanted in zip(step(layer, x, key_keep=keep), step(wide, x.double(), key_keep=keep), strict=True):
        assert error_ratio(actual, wanted) <= TOLERANCES[torch.bfloat16].rounded
