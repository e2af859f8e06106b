"""The record of a model directory: what is missing, wrong or contradictory is named."""

from pathlib import Path

import pytest

from hypermixer.errors import InputError
from hypermixer.training.record import check_record

PATH = Path("m") / "hypermixer.json"
GOOD = {"labels": ["-1", "10"], "label_type": "int", "max_length": 7, "pairs": True, "settings": {}}
NAMES = {0: "-1", 1: "10"}


def test_whole_record_passes():
    check_record(PATH, GOOD, NAMES)


@pytest.mark.parametrize("name", GOOD)
def test_missing_field_is_named(name):
    with pytest.raises(InputError, match=rf"hypermixer\.json: {name}"):
        check_record(PATH, {key: value for key, value in GOOD.items() if key != name}, NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", None),
        ("labels", ["-1", 10]),
        ("labels", ["-1", "-1"]),
        ("labels", ["-1"]),
        ("labels", ["10", "-1"]),
        ("label_type", ["int"]),
        ("max_length", True),
        ("max_length", 7.0),
        ("max_length", 0),
        ("pairs", 1),
        ("settings", []),
    ],
)
def test_wrong_field_is_named(name, value):
    with pytest.raises(InputError, match=rf"hypermixer\.json: .*{name}"):
        check_record(PATH, {**GOOD, name: value}, NAMES)


def test_label_that_is_no_whole_number():
    with pytest.raises(InputError, match=r"labels\[1\].*'1\.5'"):
        check_record(PATH, {**GOOD, "labels": ["-1", "1.5"]}, {0: "-1", 1: "1.5"})
