"""Measurements as cells: of what, in which number format."""

from typing import Any

import pytest
import torch

from hypermixer.studies.measured import lengths
from hypermixer.training.precision import choose_precision

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
CONFIG: dict[str, Any] = {
    "contenders": {"none": {"mixer": "none", "encoder": SMALL}},
    "lengths": [4], "batch_tokens": 8, "vocab_size": 50, "num_labels": 2, "seconds": 0.01,
}  # fmt: skip


@pytest.mark.parametrize("asked", ["fp32", "bf16", "auto", None])
def test_lengths_are_measured_in_the_format_that_is_asked_for(
    asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hypermixer.costs.measure as measure

    by_length, used = measure.by_length, []

    def noted(*given: Any, bf16: bool, **more: Any) -> Any:
        used.append(bf16)
        return by_length(*given, bf16=bf16, **more)

    monkeypatch.setattr(measure, "by_length", noted)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = lengths({**CONFIG, **({} if asked is None else {"precision": asked})}, None)
    name = choose_precision(asked or "auto", torch.device("cpu")).name
    assert told["environment"]["precision"] == name and used == [name == "bf16"]
    assert told["rows"] and asked in (name, "auto", None)
