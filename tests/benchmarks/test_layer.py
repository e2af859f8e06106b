"""Rows: what they hold, that their numbers follow from each other, and that a red gate leaves none."""

import statistics
from dataclasses import replace
from typing import Any

import pytest
import torch
from benchmarks.ceilings import Ceilings
from benchmarks.layer import GateRed, call, count_flops, least_bytes, measure, printed
from benchmarks.peers import Contender, attention, build

from benchmarks import layer
from tests.benchmarks.conftest import limits, small

Rows = list[dict[str, Any]]


def baseline(rows: Rows, row: dict[str, Any]) -> dict[str, Any]:
    same = ("attention", row["pass"], row["length"])
    return next(other for other in rows if (other["contender"], other["pass"], other["length"]) == same)


def test_a_row_for_every_pass_length_and_contender(rows: Rows) -> None:
    found = [(r["pass"], r["length"], r["contender"], r["heads"], r["tied"]) for r in rows]
    layers = [("hypermixing", h, t) for h in (1, 3) for t in (True, False)] + [("attention", 8, None)]
    layers += [(n, h, t) for h in (1, 3) for n, t in
               (("reference", True), ("reference", False), ("dense", True), ("official_order", False))]  # fmt: skip
    expected = [(p, n, *c) for p in ("forward", "forward+backward") for n in (5, 16) for c in layers]
    assert found == expected


def test_numbers_of_a_row_follow_from_each_other(rows: Rows) -> None:
    for row in rows:
        seconds, own = row["seconds"], row["rounds"]
        assert len(own) == seconds["rounds"] >= 3
        assert seconds["low"] <= seconds["median"] <= seconds["high"]
        assert seconds["median"] == pytest.approx(statistics.median(own), abs=1e-7)
        expected = statistics.median(a / b for a, b in zip(baseline(rows, row)["rounds"], own, strict=True))
        assert row["ratio_to_attention"]["median"] == pytest.approx(expected, rel=0.02)
        assert row["matrix_flops_per_second"] == 2e11 and row["copy_bytes_per_second"] == 3e10
        assert row["fraction_of_matrix_rate"] == pytest.approx(row["flops"] / seconds["median"] / 2e11)
        assert row["least_seconds"] == max(row["flops"] / 2e11, row["bytes"] / 3e10)
        assert row["batch"] == 64 // row["length"] and row["dtype"] == "float32"
        assert (row["plan"] is not None) == (row["contender"] in ("hypermixing", "dense"))
        if row["plan"]:
            assert row["plan"]["form"] in ("direct", "factored")
        formula = row["contender"] == "hypermixing" and row["pass"] == "forward"
        assert row["flops_from"] == ("layer.flops" if formula else "FlopCounterMode")


def test_the_higher_limit_of_before_and_after_counts() -> None:
    seen = iter([Ceilings(1e11, 5e10), Ceilings(2e11, 3e10)])
    rows, _, best = measure(small(lengths=(4,), heads=(1,), passes=("forward",)), lambda *_: next(seen))
    assert best == Ceilings(2e11, 5e10)
    assert rows[0]["matrix_flops_per_second"] == 2e11 and rows[0]["copy_bytes_per_second"] == 5e10


def test_without_attention_there_is_no_ratio() -> None:
    rows, _, _ = measure(small(lengths=(4,), heads=(1,), passes=("forward",), peers=("reference",)), limits)
    assert {row["ratio_to_attention"] for row in rows} == {None}
    assert "nan" in printed(rows)


def test_a_red_gate_leaves_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    green = layer.gate_all("cpu", torch.float32)
    assert all(v.passed for v in green)
    monkeypatch.setattr(layer, "gate_all", lambda *_: [green[0], replace(green[1], worst=0.5)])
    with pytest.raises(GateRed, match=green[1].form):
        measure(small(), lambda *_: pytest.fail("timed something behind a red gate"))


def test_the_counter_agrees_with_the_layers_formula() -> None:
    made, _ = build((), d_model=24, d_hidden=36, heads=(1, 3), device=torch.device("cpu"), dtype=torch.float32)
    x = torch.randn(4, 16, 24)
    for contender in made:
        assert count_flops(contender, x, "forward") == (4 * contender.module.flops(16), "layer.flops")  # pyright: ignore
        counted, _ = count_flops(replace(contender, name="other"), x, "forward")
        assert counted == pytest.approx(4 * contender.module.flops(16), rel=0.1)  # pyright: ignore


def test_attentions_operations_and_bytes_in_closed_form() -> None:
    module = attention(16)
    contender = Contender("attention", module, tuple(module.parameters()), 8)
    x = torch.randn(2, 6, 16)
    assert count_flops(contender, x, "forward")[0] == 2 * 2 * 6 * (4 * 16**2 + 2 * 6 * 16)
    parameters = 4 * 16**2 + 4 * 16
    assert least_bytes(contender.parameters, x, "forward") == 4 * (2 * 2 * 6 * 16 + parameters)
    assert least_bytes(contender.parameters, x, "forward+backward") == 8 * (2 * 2 * 6 * 16 + parameters)
    assert count_flops(contender, x, "forward+backward")[0] > 2 * count_flops(contender, x, "forward")[0]


def test_a_fused_encoder_layer_is_counted_too() -> None:
    made, _ = build(
        ("encoder_layer",), d_model=16, d_hidden=32, heads=(1,), device=torch.device("cpu"), dtype=torch.float32
    )
    layer_peer = next(c for c in made if c.name == "encoder_layer")
    x = torch.randn(2, 6, 16)
    expected = 2 * 2 * 6 * (4 * 16**2 + 2 * 6 * 16 + 2 * 16 * 32)
    assert count_flops(layer_peer, x, "forward") == (expected, "FlopCounterMode")
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_step_gives_every_gradient_and_does_not_add_them_up() -> None:
    module = attention(16)
    step = call(module, tuple(module.parameters()), torch.randn(2, 6, 16), "forward+backward")
    step()
    first = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    assert len(first) == 4
    step()
    for before, parameter in zip(first, module.parameters(), strict=True):
        assert parameter.grad is not None and torch.equal(before, parameter.grad)


def test_a_compiler_that_fails_is_named_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(module: torch.nn.Module, **_: Any) -> Any:
        def fail(x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no compiler\nwith much detail")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    rows, skipped, _ = measure(small(lengths=(4,), heads=(1,), passes=("forward",), peers=("compiled",)), limits)
    assert {row["contender"] for row in rows} == {"hypermixing", "attention"}
    assert [s.name.split(",")[0] for s in skipped] == ["compiled_hypermixing", "compiled_attention"]
    assert {s.reason for s in skipped} == {"RuntimeError: no compiler"}


def test_long_inputs_go_first(capsys: pytest.CaptureFixture[str]) -> None:
    measure(small(heads=(1,), passes=("forward",), peers=("attention",)), limits)
    assert [line.split(", ")[1].split()[0] for line in capsys.readouterr().err.splitlines()] == ["16", "5"]
