"""`hypermixer mixers`, and texts that are longer than a mixer can take."""

import csv
import json
import re

import pytest

from hypermixer.mixers import MIXERS
from tests.cli.conftest import TINY
from tests.cli.test_bad_input import refused

LONGEST = 12


@pytest.fixture(scope="module")
def short(tmp_path_factory, texts):
    """A model whose mixer takes 12 tokens, trained on texts some of which have more."""
    from hypermixer.cli.app import run

    folder = tmp_path_factory.mktemp("short")
    rows = texts.read_text().splitlines()
    long = [",".join([" ".join([row.split(",")[0]] * 9), row.split(",")[1]]) for row in rows[1:6]]
    (folder / "texts.csv").write_text("\n".join([*rows, *long]) + "\n")
    flags = ["--mixer", "gmlp", "--set", f"mixer.max_length={LONGEST}"]
    assert run(["train", str(folder / "texts.csv"), "--eval", str(folder / "texts.csv"), "--out", str(folder / "m"),
                *TINY, *flags]) == 0  # fmt: skip
    return folder


def test_all_are_listed(command):
    result = command("mixers")
    lines = result.out.splitlines()
    assert result.code == 0
    for name, mixer in MIXERS.items():
        assert any(line.startswith(f"{name} ") and mixer.cost in line for line in lines), name
        assert any(line == f"{name}: {mixer.source}" for line in lines), name
    assert any(re.match(r"attention .* 10,977,792 ", line) for line in lines)
    rows = json.loads(command("mixers", "--json").out)["mixers"]
    assert [row["name"] for row in rows] == list(MIXERS)


def test_one_is_described(command):
    result = command("mixers", "gmlp")
    assert result.code == 0 and "max_length" in result.out and "10,646,712" in result.out
    row = json.loads(command("mixers", "gmlp", "--json").out)
    assert row["max_length"] == 100 and {o["name"] for o in row["options"]} == {"d_hidden", "max_length", "bias"}
    assert {o["kind"] for o in row["options"]} == {"a whole number or none", "a whole number", "true or false"}
    assert command("mixers", "none").code == 0
    refused(command("mixers", "xyzzy"), "xyzzy", *MIXERS)
    refused(command("mixers", "gmpl"), "gmpl", "gmlp")


def test_the_help_of_train_names_every_mixer(command):
    words = re.findall(r"\w+", command("train", "--help").out)
    assert set(MIXERS) <= set(words)


def test_cuts_are_counted_and_said_once(command, short, tmp_path):
    record = json.loads((short / "m" / "hypermixer.json").read_text())
    assert record["max_length"] == LONGEST
    cut = record["cost"]["cut"]
    assert 5 <= cut < 72 and record["cost"]["evaluation_cut"] == cut
    result = command("evaluate", short / "m", short / "texts.csv", "--json")
    assert json.loads(result.out)["cut"] == cut
    result = command("evaluate", short / "m", short / "texts.csv")
    assert result.out.count(f"Cut to {LONGEST} tokens: {cut}") == 1
    result = command("predict", short / "m", short / "texts.csv", "--out", tmp_path / "p.jsonl")
    assert result.code == 0 and result.out.count(f"Cut to {LONGEST} tokens: {cut}") == 1 and not result.err


def test_python_warns_of_cuts_once(short):
    from hypermixer import TextClassifier

    classifier = TextClassifier.load(short / "m", "cpu")
    with pytest.warns(UserWarning, match=rf"2 of 3 texts are longer than {LONGEST} tokens") as caught:
        classifier.predict(["a film", "the film " * 20, "was very " * 30])
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UserWarning, match="1 of 1 texts") as caught:
        classifier.predict_proba(["the film " * 20])
    assert [warning.filename for warning in caught] == [__file__]


def test_a_length_that_the_mixer_cannot_take(command, texts, tmp_path):
    flags = ["--mixer", "gmlp", "--max-length", "101"]
    refused(command("train", texts, "--out", tmp_path / "m", *flags), "--max-length", "101", "100", "gmlp")
    refused(command("train", texts, "--out", tmp_path / "m", "--mixer", "gmlp", "--set", "mixer.max_length=x"), "max_")
    refused(command("train", texts, "--out", tmp_path / "m", "--mixer", "fnet", "--heads", "2"), "--heads", "fnet")
    assert not (tmp_path / "m").exists()


def test_a_record_that_claims_more_than_the_weights_hold(command, short, tmp_path, texts):
    import shutil

    shutil.copytree(short / "m", tmp_path / "m")
    path = tmp_path / "m" / "hypermixer.json"
    path.write_text(path.read_text().replace(f'"max_length": {LONGEST},', '"max_length": 400,', 1))
    refused(command("evaluate", tmp_path / "m", texts), "hypermixer.json", "max_length", "400", LONGEST)
    shutil.copytree(short / "m", tmp_path / "n")
    path = tmp_path / "n" / "config.json"
    path.write_text(path.read_text().replace(f'"max_length": {LONGEST}', '"max_length": 400'))
    refused(command("evaluate", tmp_path / "n", texts), "spatial_bias", "[12]", "[400]", "max_length")
    from transformers import AutoModelForSequenceClassification

    with pytest.raises(ValueError, match=r"other shapes than config\.json .*max_length"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "n")


def test_every_mixer_trains_from_the_command_line(command, tmp_path):
    rows = [("text", "label"), *((f"{w} day {i}", w) for i in range(9) for w in ("good", "bad"))]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for name in MIXERS:
        flags = ["--mixer", name, "--layers", 1, "--d-model", 16, "--epochs", 1, "--json"]
        result = command("train", tmp_path / "t.csv", "--out", tmp_path / name, *flags)
        assert result.code == 0 and json.loads(result.out)["mixer"] == name, result.err
