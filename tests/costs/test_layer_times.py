"""The paper's Figure 2: contenders compute what they say, rows follow from each other, a red gate leaves none."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from hypermixer.costs import layer_times as module
from hypermixer.costs.layer_times import BASELINE, PublishedHyperMixing, WrittenOutAttention, layer_times
from hypermixer.costs.operations import attention_corrected, attention_printed, hypermixer_printed
from hypermixer.errors import InputError, WorkError
from hypermixer.mixers import Attention, HyperMixing, Sequences
from hypermixer.ops.compare import error_ratio
from hypermixer.ops.hypermixing.gate import Verdict, gate_all

CPU = torch.device("cpu")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    return gate_all(CPU, torch.float32)


@pytest.fixture
def green(verdicts: list[Verdict], monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate is asked once, and then believed: each time takes seconds."""
    monkeypatch.setattr(module, "gate_all", lambda *_: verdicts)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return layer_times((5, 64), repetitions=20, device=CPU)


def test_written_out_attention_is_attention_masks_included() -> None:
    config = Attention.Config(num_heads=4)
    today, then = (kind(config, d_model=16).double() for kind in (Attention, WrittenOutAttention))
    then.load_state_dict(today.state_dict())
    x = torch.randn(3, 7, 16, dtype=torch.float64)
    keep = torch.arange(7) < torch.tensor([[7], [3], [0]])
    for mask in (None, keep):
        expected = today(x, Sequences.padded(x, mask))
        assert error_ratio(then(x, Sequences.padded(x, mask)), expected) < 1e-12


@pytest.mark.parametrize("normalization", ["layer", "none"])
@pytest.mark.parametrize("bias", [True, False])
def test_published_hypermixing_is_hypermixing(normalization: Any, bias: bool) -> None:
    mixing = HyperMixing(24, 36, normalization=normalization, bias=bias).double()
    x = torch.randn(2, 37, 24, dtype=torch.float64)
    assert error_ratio(PublishedHyperMixing(mixing)(x), mixing(x)) < 1e-12


def test_every_contender_has_a_row_at_each_length(rows: Rows, verdicts: list[Verdict]) -> None:
    here = [(v.backend, v.form) for v in verdicts]
    names = [f"{kind}attention, {heads}" for heads in ("8 heads", "1 head") for kind in ("", "written-out ")]
    names += ["hypermixing as published", "hypermixing", *(f"hypermixing, {b}, {f}" for b, f in here)]
    assert [(row["tokens"], row["contender"]) for row in rows] == [(n, name) for n in (5, 64) for name in names]
    assert json.loads(json.dumps(rows)) == rows and names[0] == BASELINE


def test_numbers_of_a_row_follow_from_each_other(rows: Rows) -> None:
    for row in rows:
        n, attention = row["tokens"], "attention" in row["contender"]
        heads = 8 if "8 heads" in row["contender"] else 1
        seconds = row["seconds_per_1000"]
        assert 0 < seconds["low"] <= seconds["median"] <= seconds["high"]
        assert 15 <= row["repetitions"] <= 20 and seconds["rounds"] >= 3
        assert row["repetitions"] % seconds["rounds"] == 0
        if row["contender"] == BASELINE:
            assert row["ratio_to_attention"]["median"] == 1.0
        printed = attention_printed(n, 256, heads) if attention else hypermixer_printed(n, 256, 512)
        corrected = attention_corrected(n, 256, heads) if attention else printed
        assert (row["operations_printed"], row["operations_corrected"]) == (printed, corrected)
        if attention:
            assert row["operations_counted"] == corrected - 3 * heads * n * n
        if "as published" in row["contender"]:
            assert row["operations_counted"] == printed - 9 * 256 * (512 + n)
        if "direct" in row["contender"] or "factored" in row["contender"]:
            _, backend, form = row["contender"].split(", ")
            assert row["how"].startswith(f"{form} form, {backend} backend")


@pytest.mark.usefixtures("green")
def test_times_are_for_a_thousand_inputs_however_many_are_timed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(runs: list[Any], **_: Any) -> list[list[float]]:
        return [[0.2 * (i + 1)] * 3 for i in range(len(runs))]

    monkeypatch.setattr(module, "interleaved", timed)
    monkeypatch.setattr(module, "_calls_at_once", lambda *_: 4)
    first, second, *_ = layer_times((5,), repetitions=12, device=CPU)
    assert first["seconds_per_1000"]["median"] == pytest.approx(50) and first["repetitions"] == 12
    assert second["seconds_per_1000"]["median"] == pytest.approx(100)
    assert second["ratio_to_attention"]["median"] == pytest.approx(2)


@pytest.mark.usefixtures("green")
def test_repetitions_are_fewer_where_time_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_PER_LENGTH", 0.0)
    made = layer_times((64,), repetitions=10_000, device=CPU)
    assert all(row["seconds_per_1000"]["rounds"] == 3 and row["repetitions"] < 1000 for row in made)
    assert {row["repetitions"] for row in layer_times((3,), repetitions=1, device=CPU)} == {1}


def test_a_red_gate_leaves_no_row(verdicts: list[Verdict], monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = verdicts
    monkeypatch.setattr(module, "gate_all", lambda *_: [*others, replace(first, worst=0.5)])
    monkeypatch.setattr(module, "interleaved", lambda *_, **__: pytest.fail("timed something behind a red gate"))
    with pytest.raises(WorkError, match=f"{first.backend}, {first.form}"):
        layer_times((5,), repetitions=3, device=CPU)


@pytest.mark.parametrize("changes", [{"lengths": (64, 0)}, {"repetitions": 0}])
def test_numbers_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(changes))} must be at least 1, got 0"):
        layer_times(**{"lengths": (5,), "repetitions": 3, "device": CPU, **changes})
