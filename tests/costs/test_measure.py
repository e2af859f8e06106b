"""Rows by length: who has one, that their numbers follow from each other, and what happens when memory runs out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from hypermixer.costs import measure
from hypermixer.costs.counter import operations
from hypermixer.costs.energy import Energy
from hypermixer.costs.measure import Contender, by_length
from hypermixer.costs.peak import Peak
from hypermixer.errors import InputError

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 8}
CONTENDERS = {
    "attention": Contender("attention", {"num_heads": 2}, TINY),
    "short": Contender("mlp_mixer", {"max_length": 20}, TINY),
    "deep": Contender("none", {}, {**TINY, "num_hidden_layers": 3}),
}
Rows = list[dict[str, Any]]


def run(contenders: dict[str, Contender] = CONTENDERS, lengths: tuple[int, ...] = (7, 33), **changes: Any) -> Rows:
    options: dict[str, Any] = {
        "batch_tokens": 66, "vocab_size": 50, "num_labels": 3, "device": torch.device("cpu"), "bf16": False,
        "seconds": 0.2,
    }  # fmt: skip
    return by_length(contenders, lengths, **{**options, **changes})


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not measured, which takes a process."""
    monkeypatch.setattr(measure, "peaks", lambda requests, _: [Peak(1)] * len(requests))


@pytest.fixture(scope="module")
def rows() -> Rows:
    return run()


def test_a_row_for_each_length_and_contender_that_takes_it(rows: Rows) -> None:
    found = [(row["length"], row["contender"], row["batch"]) for row in rows]
    assert found == [(7, "attention", 9), (7, "short", 9), (7, "deep", 9), (33, "attention", 2), (33, "deep", 2)]
    assert json.loads(json.dumps(rows)) == rows and not any(row["out_of_memory"] for row in rows)


def test_numbers_of_a_row_follow_from_each_other(rows: Rows) -> None:
    for row in rows:
        for kind in ("forward", "step"):
            batch, tokens = row[f"{kind}_ms"], row[f"{kind}_ms_per_1000_tokens"]
            assert 0 < batch["low"] <= batch["median"] <= batch["high"] and batch["rounds"] >= 3
            assert tokens["median"] == pytest.approx(1000 * batch["median"] / (row["batch"] * row["length"]))
            if row["contender"] == "attention":
                assert row[f"{kind}_ratio"]["low"] == row[f"{kind}_ratio"]["high"] == 1.0
        assert row["step_ms"]["median"] > row["forward_ms"]["median"]
        contender = CONTENDERS[row["contender"]]
        model = contender.classifier(50, 3)
        assert row["parameters"] == sum(p.numel() for p in model.parameters())
        counted = operations(
            contender.mixer, contender.options, tokens=row["length"], num_labels=3, **contender.encoder
        )
        assert row["operations"] == vars(counted)
        assert row["peak_bytes"] is None or row["peak_bytes"] > 3 * 4 * row["parameters"]
        assert (row["joules_per_1000_tokens"] is None) == (row["energy_reason"] is not None)


@pytest.mark.usefixtures("no_memory")
def test_ratios_are_times_over_the_first_contenders() -> None:
    small = Contender("none", {}, TINY)
    large = Contender("none", {}, {"hidden_size": 128, "num_hidden_layers": 6, "intermediate_size": 256})
    rows = run({"small": small, "large": large}, (64,), batch_tokens=1024)
    assert rows[1]["step_ratio"]["median"] > 2 and rows[1]["forward_ratio"]["median"] > 2


@pytest.mark.usefixtures("no_memory")
def test_where_the_first_has_no_row_there_is_no_ratio() -> None:
    rows = run({"short": CONTENDERS["short"], "deep": CONTENDERS["deep"]}, (33,))
    assert [row["contender"] for row in rows] == ["deep"]
    assert rows[0]["step_ratio"] is rows[0]["forward_ratio"] is None and rows[0]["step_ms"] is not None


@pytest.mark.usefixtures("no_memory")
def test_lengths_beyond_every_contender_leave_no_rows() -> None:
    assert run({"short": CONTENDERS["short"]}, (21,)) == []


def test_memory_that_runs_out_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def step(self: Any, inputs: Any) -> None:
        tried.append(type(self.model.model.encoder.blocks[0].mixer).__name__)
        if tried[-1] == "Attention":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(measure.Stepper, "step", step)
    monkeypatch.setattr(measure, "peaks", lambda *_: [Peak(5), Peak(None, out_of_memory=True), Peak(7)])
    attention, killed, fine = run(lengths=(7,))
    assert [row["out_of_memory"] for row in (attention, killed, fine)] == [True, True, False]
    assert attention["step_ms"] is attention["parameters"] is killed["forward_ms"] is None
    assert "MLPMixer" not in tried  # what was killed in its own process is not tried in this one
    assert fine["step_ms"]["median"] > 0 and fine["step_ratio"] is None and fine["peak_bytes"] == 7
    assert attention["operations"]["step"] > 0


@pytest.mark.usefixtures("no_memory")
def test_errors_other_than_memory_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: Any, inputs: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(measure.Stepper, "step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        run(lengths=(7,))


@pytest.mark.usefixtures("no_memory")
def test_energy_is_shared_out_over_the_tokens_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    @contextmanager
    def metered(_: torch.device) -> Iterator[Energy]:
        used = Energy(source="a gauge")
        before = len(steps)
        yield used
        used.joules = 0.25 * (len(steps) - before)

    whole = measure.Stepper.step

    def step(self: Any, inputs: Any) -> None:
        steps.append(1)
        whole(self, inputs)

    monkeypatch.setattr(measure.Stepper, "step", step)
    monkeypatch.setattr(measure, "energy_used", metered)
    monkeypatch.setattr(measure, "ENERGY_SECONDS", 0.05)
    row = run({"deep": CONTENDERS["deep"]}, (7,))[0]
    assert row["joules_per_1000_tokens"] == pytest.approx(0.25 * 1000 / 63) and row["energy_source"] == "a gauge"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"contenders": {}}, "no contenders"), ({"lengths": (0,)}, "lengths"), ({"batch_tokens": 0}, "batch_tokens"),
     ({"seconds": -1.0}, "seconds"), ({"contenders": {"a": Contender("atention")}}, "attention"),
     ({"contenders": {"a": Contender("none", {}, {"hidden_size": 0})}}, "hidden_size")],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(**changes)
