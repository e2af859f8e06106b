"""hypermixer expressivity: ranks, bounds, sweeps, the check of known values, figures, and wrong requests."""

import csv
import json

import pytest

from hypermixer.expressivity import known as known_values
from hypermixer.expressivity.known import Known
from hypermixer.expressivity.spec import spec_of
from tests.cli.test_bad_input import refused

COMPUTE = ("expressivity", "compute")


def test_compute_for_people_and_for_programs(command):
    shown = command(*COMPUTE, "--kind", "attention", "--depth", "3")
    assert shown.code == 0 and "separation rank: 232" in shown.out and "14 to 232" in shown.out
    record = json.loads(command(*COMPUTE, "--kind", "attention", "--depth", "3", "--second-prime", "--json").out)
    assert {"rank", "upper", "lower", "saturated", "templates", "prime", "seed", "partition"} <= record.keys()
    assert (record["rank"], record["second"], record["saturated"]) == (232, 232, False)


def test_every_field_of_a_spec_has_a_flag(command):
    given = (
        "--kind hypermixing --depth 1 --width 4 --tokens 3 --token-hidden 6 --act-degree 2 --hypernet-degree 2"
        " --heads 2 --residual --channel-degree 2 --permutation tokens --tied --readout mean --positions hypernet"
        " --partition 0/2,1 --templates 5 --prime 101 --seed 7 --method whole --json"
    )
    record = json.loads(command(*COMPUTE, *given.split()).out)
    assert record["spec"] == spec_of(
        "hypermixing", depth=1, width=4, tokens=3, token_hidden=6, act_degree=2, hypernet_degree=2, heads=2,
        residual=True, channel_degree=2, permutation="tokens", tied=True, readout="mean", positions="hypernet",
        partition=((0,), (2, 1)),
    ).as_dict() | {"partition": [[0], [2, 1]]}  # fmt: skip
    assert (record["prime"], record["seed"], record["method"], record["templates"]) == (101, 7, "whole", 5)


def test_saturation_is_told(command):
    shown = command(*COMPUTE, "--kind", "static", "--depth", "3", "--templates", "40").out
    assert "separation rank: >= 40" in shown and "may be larger" in shown


def test_bounds_of_any_size(command):
    sizes = ("--kind", "hypermixing", "--depth", "5", "--width", "512", "--tokens", "512")
    record = json.loads(command("expressivity", "bounds", *sizes, "--json").out)
    assert record["lower"]["value"] < record["upper"]["value"] and record["upper"]["mark"] == "proved"
    assert record["upper"]["value"].bit_length() == int(record["upper"]["log2"]) + 1
    shown = command("expressivity", "bounds", "--kind", "attention", "--depth", "4", "--width", "512").out
    assert "conjectured" in shown and "Quoted from memory" in shown


@pytest.mark.parametrize("name", ["ranks.csv", "ranks.json"])
def test_sweep(command, tmp_path, name):
    out = tmp_path / name
    done = command(
        "expressivity", "sweep", "--kind", "attention,static", "--over", "depth", "--values", "1,2", "--out", out
    )
    assert done.code == 0
    if name.endswith("json"):
        rows = [(row["spec"]["kind"], row["spec"]["depth"], row["rank"]) for row in json.loads(out.read_text())]
    else:
        with out.open() as file:
            rows = [(row["kind"], int(row["depth"]), int(row["rank"])) for row in csv.DictReader(file)]
    assert rows == [("attention", 1, 3), ("static", 1, 6), ("attention", 2, 18), ("static", 2, 20)]


def test_verify_fails_where_a_value_differs(command, monkeypatch):
    right = Known(spec_of("attention"), 18)
    monkeypatch.setattr(known_values, "known", lambda: [right])
    assert command("expressivity", "verify").code == 0
    monkeypatch.setattr(known_values, "known", lambda: [right, Known(spec_of("static"), 21)])
    done = command("expressivity", "verify", "--quick")
    assert done.code == 1 and "1 of 2 values differ" in done.err and "21" in done.out
    record = json.loads(command("expressivity", "verify", "--json").out)
    assert (record["checked"], record["different"]) == (2, 1)


def test_a_figure_is_a_page(command, tmp_path):
    assert command("expressivity", "figure", "tokens", "--out", tmp_path).code == 0
    record = json.loads((tmp_path / "report.json").read_text())
    rows = next(part["rows"] for part in record["sections"][0]["body"] if part["kind"] == "table")
    ranks = {(row[0]["text"], row[1]["text"]): row[2]["text"] for row in rows}
    assert ranks["attention", "16"] == "18" and ranks["static", "16"] == "170" and ranks["hypermixing", "4"] == "190"


def test_alone_it_shows_its_help(command):
    assert "verify" in command("expressivity").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("compute --kind atention", "'attention'"),
        ("compute --kind attention --tokens 5", "tokens=5"),
        ("compute --kind attention --partition 0,1,2,3/", "side of the partition is empty"),
        ("compute --kind attention --partition 0,1/1,2,3", "names token 1 twice"),
        ("compute --kind attention --partition 0,1", "two lists"),
        ("compute --kind attention --heads 3", "heads=3 do not divide width=2"),
        ("compute --kind static --act-degree 0", "act_degree must be at least 1"),
        ("compute --kind static --act-degree two", "act_degree must be a whole number"),
        ("compute --kind attention --act-degree 3", "no use in kind 'attention'"),
        ("compute --kind attention --prime 21", "3 times 7"),
        ("compute --kind attention --templates 0", "templates must be at least 1"),
        ("compute --kind attention --templates x", "--templates"),
        ("compute --kind attention --templates 60000", "GiB"),
        ("compute --kind attention --method hole", "whole"),
        ("compute --kind attention --residual --method blocks", "residual"),
        ("compute --kind attention --widht 3", "--width"),
        ("comput", "'compute'"),
        ("sweep --kind attention --over depht --values 1", "'depth'"),
        ("sweep --kind attention --over depth --values 1,x", "--values"),
        ("sweep --kind attention --over depth --values 1 --out ranks.txt", ".csv"),
        ("sweep --kind attention --over depth --values 1 --out no/such/ranks.csv", "no folder"),
        ("figure dpeth --out x", "'depth'"),
    ],
)
def test_wrong_requests(command, arguments, words):
    refused(command("expressivity", *arguments.split()), words)
