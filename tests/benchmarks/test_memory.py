"""Memory of a step: the meter is right, and the layer keeps no hidden activation."""

import torch
from benchmarks.memory import memory_rows, step_usage
from torch import nn


class Keeps(nn.Module):
    """sin(w x) keeps two tensors of the size of x: its input, w x, and its output."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.weight * x).sin()


def test_kept_bytes_are_those_of_a_known_graph() -> None:
    x = torch.randn(1, 1000, 1000)
    module = Keeps()
    used = step_usage(module, tuple(module.parameters()), x)
    assert abs(used.kept_bytes - 2 * 4e6) < 1e5
    assert used.peak_bytes >= used.kept_bytes + 4e6 - 1e5


def test_the_layer_keeps_no_hidden_activation_and_the_reference_does() -> None:
    rows = memory_rows(torch.device("cpu"), torch.float32, batch=32, length=4, d_model=32, d_hidden=64)
    assert {row["hidden_bytes"] for row in rows} == {32 * 64 * 32 * 4}
    kept = {(row["contender"], row["tied"]): row["kept_bytes"] / row["hidden_bytes"] for row in rows}
    assert kept["hypermixing", True] < 1 and kept["hypermixing", False] < 1
    assert kept["reference", True] > 1 and kept["official_order", False] > 1
    assert all(row["peak_bytes"] >= row["kept_bytes"] > 0 for row in rows)
