"""The page of conversions: its rows, its curve and its summary come from the cells."""

import pytest

from hypermixer.studies.cell import Cell
from hypermixer.studies.conversion import _curve, _summary, _table


def student(name, held_out, minutes=10.0, **probes):
    row = {
        "agreement": {"before": 0.4, "layerwise": [[1, 0.5], [2, 0.6]], "whole": [[5, 0.7], [10, held_out]],
                      "held_out": held_out},
        "schedule": {"steps": {"layerwise": 2, "whole": 10}},
        "cost": {"seconds": {"layerwise": 60.0, "whole": 300.0, "teacher": 999.0}, "parameters": 12_345},
        "probes": probes,
    }  # fmt: skip
    return Cell("conversion", {"name": name}, tags={"row": name, "minutes": minutes, "seed": 0}), row


DONE = [
    (Cell("conversion", {"what": "teacher"}, tags={"row": "teacher"}), {"probes": {"trec": 90.0, "mr": 77.0}}),
    student("one", 0.95, trec=91.0, mr=74.5),
    student("two", 0.97, 60.0, trec=89.5, mr=76.9),
]


def test_the_table_says_how_far_the_worst_probe_is_below_the_teacher():
    table = _table(DONE)
    assert table.head[:4] == ("encoder", "minutes", "agreement", "farthest below the teacher")
    assert table.head[4:6] == ("trec", "mr")
    texts = [[getattr(entry, "text", entry) for entry in row] for row in table.rows]
    assert texts[0][:6] == ["teacher", None, None, None, "90.0", "77.0"]
    assert texts[1][:6] == ["one", "10", "0.9500", "-2.5", "91.0", "74.5"]
    assert texts[2][:6] == ["two", "60", "0.9700", "-0.5", "89.5", "76.9"]


def test_the_curve_counts_the_seconds_of_training():
    x, y = _curve(DONE[1][1])
    assert x == pytest.approx([0, 0.5, 1, 3.5, 6]) and y == [0.4, 0.5, 0.6, 0.7, 0.95]


def test_the_summary_names_the_best():
    assert "two after 60 minutes" in _summary(DONE) and "0.970" in _summary(DONE)
    assert _summary(DONE[:1]) == "No student is finished."
