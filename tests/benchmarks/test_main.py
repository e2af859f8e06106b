"""The commands: what is printed, written and returned."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import layer
from tests.benchmarks.conftest import limits, small


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything small: the command's own sizes are for a real run."""

    def request(dtype: torch.dtype, device: torch.device, lengths: list[int], **options: Any) -> layer.Request:
        return small(lengths=lengths, heads=(1,), peers=options["peers"])

    measure = layer.measure
    monkeypatch.setattr(layer, "Request", request)
    monkeypatch.setattr(layer, "measure", lambda request: measure(request, limits))
    monkeypatch.setattr(program, "memory_rows", lambda *_: [
        {"contender": "hypermixing", "tied": True, "batch": 2, "length": 3, "dtype": "float32", "hidden_bytes": 4,
         "kept_bytes": 1, "peak_bytes": 3, "working_bytes": 0}])  # fmt: skip


def words(*more: str) -> list[str]:
    return ["run", "--threads", str(torch.get_num_threads()), *more]


def test_run_writes_a_line_for_each_row(quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(words("--out", str(tmp_path), "--lengths", "7", "5")) == 0
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    document = json.loads(text)
    assert path.name == f"layer-{document['machine']['slug']}-torch{torch.__version__}-float32.json"
    assert document["format"] == 2 and document["gate"] == "green" and document["skipped"] == []
    assert sum(line.startswith('{"pass"') for line in text.splitlines()) == len(document["rows"])
    said = capsys.readouterr().out
    assert sum("hypermixing" in line and line.startswith("forward") for line in said.splitlines()) == 8
    assert "hidden activations" in said and "of the matrix-product rate" not in said  # no length from 512 on


def test_a_red_gate_prints_and_writes_no_row(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    red = [replace(v, worst=float("inf")) for v in layer.gate_all("cpu", torch.float32)]
    monkeypatch.setattr(layer, "gate_all", lambda *_: red)
    assert program.main(words("--out", str(tmp_path))) == 1
    said = capsys.readouterr()
    assert said.out == "" and "The gate is red" in said.err and list(tmp_path.iterdir()) == []


def test_verify_shows_every_dtype_and_fails_on_red(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["verify"]) == 0
    green = capsys.readouterr().out
    assert all(name in green for name in layer.DTYPES) and "RED" not in green
    gate_all = program.gate_all

    def one_red(device: Any, dtype: torch.dtype) -> list[Any]:
        return [replace(v, worst=1.0) if dtype == torch.bfloat16 else v for v in gate_all(device, dtype)[:1]]

    monkeypatch.setattr(program, "gate_all", one_red)
    assert program.main(["verify"]) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "RED" in line] == ["bfloat16"]


@pytest.mark.parametrize("wrong", [["run", "--dtype", "float31"], ["run", "--peers", "atention"],
                                   ["run", "--lengths", "0"], ["run", "--lengths", "x"], ["measure"]])  # fmt: skip
def test_a_wrong_word_exits_with_two(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        program.main(wrong)
    assert left.value.code == 2 and wrong[-1] in capsys.readouterr().err
