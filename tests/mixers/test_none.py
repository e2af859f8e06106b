import torch

from hypermixer.mixers import Sequences, build_mixer


def test_tokens_pass_as_they_are() -> None:
    mixer = build_mixer("none", {}, d_model=2)
    x = torch.tensor([[[1.0, -2.0], [0.5, 3.0], [7.0, 7.5]]], dtype=torch.float64)
    assert mixer(x, Sequences.padded(x)).tolist() == x.tolist()
    keep = torch.tensor([[True, False, True]])
    assert mixer(x, Sequences.padded(x, keep)).tolist() == [[[1.0, -2.0], [0.0, 0.0], [7.0, 7.5]]]
    packed = x[0]
    assert mixer(packed, Sequences.packed(packed, torch.tensor([0, 2, 3]))).tolist() == packed.tolist()


def test_nothing_is_learned_and_nothing_is_paid() -> None:
    mixer = build_mixer("none", {}, d_model=2)
    assert not mixer.state_dict() and mixer.flops(7) == 0 and mixer.state_size(7) == 0
