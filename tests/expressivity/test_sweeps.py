"""Which networks a sweep takes, and the files it writes."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hypermixer.errors import InputError, WorkError
from hypermixer.expressivity.separation import separation_rank
from hypermixer.expressivity.spec import KINDS, spec_of
from hypermixer.expressivity.sweeps import OVER, check_file, specs_over, write

# --- Specs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", OVER)
def test_every_value_with_every_kind_values_first(over: str) -> None:
    kinds = ["attention", "hypermixing"]
    fields: dict[str, Any] = {"width": 4} if over == "heads" else {}
    found = specs_over(over, " 2, 4 ", kinds, fields)
    assert found == [spec_of(kind, **{over: value}, **fields) for value in (2, 4) for kind in kinds]


def test_values_stay_in_their_order() -> None:
    assert [spec.depth for spec in specs_over("depth", "3,1,1,2", ["linear"], {})] == [3, 1, 1, 2]


def test_a_field_counts_for_the_kinds_that_have_a_use_for_it() -> None:
    fields: dict[str, Any] = {"heads": 2, "token_hidden": 2, "tied": True, "residual": True, "act_degree": 3}
    common = {"depth": 2, "residual": True}
    assert specs_over("depth", "2", KINDS, fields) == [
        spec_of("attention", heads=2, **common),
        spec_of("hypermixing", heads=2, token_hidden=2, tied=True, act_degree=3, **common),
        spec_of("static", token_hidden=2, act_degree=3, **common),
        spec_of("gmlp", **common),
        spec_of("linear", **common),
    ]
    assert fields == {"heads": 2, "token_hidden": 2, "tied": True, "residual": True, "act_degree": 3}


@pytest.mark.parametrize(
    "over, values, kinds, fields, words",
    [
        ("dept", "1", ["linear"], {}, "--over dept: did you mean 'depth'"),
        ("residual", "1", ["linear"], {}, "--over residual"),
        ("act_degree", "1", ["static"], {}, "--over act_degree"),
        ("depth", "1,2", ["linear"], {"depth": 3}, "--depth 3: it varies.*--values"),
        ("depth", "1,2", ["linear"], {"depth": 1}, "--depth 1: it varies"),
        *(
            ("depth", values, ["linear"], {}, "--values.*whole numbers with commas")
            for values in ("", " ", ",", "1,", "1,,2", "1;2", "1.5", "-1", "one", "1 2", "1e1", "²", "0x1")
        ),
        ("depth", "1", ["atention"], {}, "--kind atention: did you mean 'attention'"),
        ("depth", "1", ["linear", ""], {}, "--kind"),
        ("depth", "1", ["static", "Attention"], {}, "--kind Attention: did you mean 'attention'"),
        ("depth", "1", ["linear", "gmlp"], {"token_hidden": 2}, "--token-hidden: has no use in linear or gmlp"),
        ("depth", "1", ["attention"], {"residual": True, "act_degree": 2}, "--act-degree: has no use in attention"),
        ("depth", "1", ["static"], {"tied": True}, "--tied: has no use in static"),
        ("depth", "0", ["linear"], {}, "depth must be at least 1, got 0"),
        ("tokens", "4,5", ["linear"], {}, "tokens=5"),
        ("heads", "2", ["attention", "static"], {}, "heads=2 has no use in kind 'static'"),
        ("width", "2,3", ["attention"], {"heads": 2}, "heads=2.*width=3"),
        ("depth", "1", ["linear"], {"residul": True}, "residul.*did you mean 'residual'"),
    ],
)
def test_other_requests_are_refused(
    over: str, values: str, kinds: list[str], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        specs_over(over, values, kinds, fields)


def test_one_head_is_every_kind_s() -> None:
    assert [spec.heads for spec in specs_over("heads", "1", KINDS, {})] == [1] * len(KINDS)


# --- Files ------------------------------------------------------------------------------------------------------------


def test_files_that_could_be_written_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (None, tmp_path / "ranks.csv", tmp_path / "a.b.json", Path("ranks.csv")):
        check_file(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ranks", "ranks.txt", "ranks.CSV", "ranks.json.gz", ".csv"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out .*must end in \.csv or \.json"):
        check_file(tmp_path / name)


def test_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("none", "file"):
        with pytest.raises(InputError, match=f"there is no folder {tmp_path / folder}"):
            check_file(tmp_path / folder / "ranks.csv")


FOUND = [
    separation_rank(spec_of("attention", residual=True)),
    separation_rank(spec_of("hypermixing", token_hidden=2, partition=((0,), (1, 2, 3))), method="blocks"),
    separation_rank(spec_of("static", readout="mean"), count=4, prime=65537, seed=3),
]


def test_csv_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "ranks.csv"
    write(FOUND, path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(FOUND)
    for row, one in zip(rows, FOUND, strict=True):
        spec = one.spec.as_dict()
        wanted = {**{name: value for name, value in spec.items() if name != "partition"}, **one.as_dict()}
        wanted = {name: "" if value is None else str(value) for name, value in wanted.items()}
        assert row == {name: wanted[name] for name in row}
        assert {*row} == {*spec, "rank", "saturated", "lower", "upper", "templates", "prime", "seed", "method",
                          "seconds"} - {"partition"}  # fmt: skip


def test_json_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "ranks.json"
    write(FOUND, path)
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert [spec_of(**row["spec"]) for row in rows] == [one.spec for one in FOUND]
    assert rows == json.loads(json.dumps([one.as_dict() for one in FOUND]))
    assert [row["rank"] for row in rows] == [18, FOUND[1].rank, 4] and path.read_text().endswith("]\n")


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_file_that_cannot_be_written_is_told(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / f"ranks.{suffix}"
    folder.mkdir()
    for path in (folder, tmp_path / "none" / f"ranks.{suffix}"):
        with pytest.raises(WorkError, match=f"{path}: cannot be written"):
            write(FOUND, path)
