"""Learning rates on a pretrained encoder, part by part."""

import pytest
import torch

from hypermixer.hf import HyperMixerConfig, HyperMixerForSequenceClassification
from hypermixer.settings import TrainingSettings
from hypermixer.training.groups import parameter_groups

LAYERS = 3


def classifier(**options):
    shape = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": LAYERS, "intermediate_size": 12, "num_labels": 3}
    return HyperMixerForSequenceClassification(HyperMixerConfig(**{**shape, "position_embeddings": 7, **options}))


def rates(model, training, decayed=()):
    """Rate and decay of every parameter, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, training, decayed)
    found = {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found)
    return found


@pytest.mark.parametrize("layout", ["post", "pre"])
def test_each_part_has_its_rate(layout):
    model = classifier(layout=layout)
    found = rates(model, TrainingSettings(lr=1.0, pretrained_lr=0.5, layer_decay=0.1))
    assert found.keys() == dict(model.named_parameters()).keys()
    for name, (rate, _) in found.items():
        if name.startswith("classifier."):
            expected = 1.0
        elif name.startswith("model.encoder.embeddings."):
            expected = 0.5 * 0.1**LAYERS
        elif name.startswith("model.encoder.blocks."):
            expected = 0.5 * 0.1 ** (LAYERS - 1 - int(name.split(".")[3]))
        else:
            assert name.startswith("model.encoder.norm.") and layout == "pre"
            expected = 0.5
        assert rate == pytest.approx(expected), name


def test_without_decay_by_layer_the_encoder_has_one_rate():
    found = rates(classifier(), TrainingSettings(lr=2e-3, pretrained_lr=0.2))
    assert {name.split(".")[0]: rate for name, (rate, _) in found.items()} == {"model": 2e-3 * 0.2, "classifier": 2e-3}
    assert len({rate for rate, _ in found.values()}) == 2


def test_weights_decay_where_they_are_named():
    model = classifier()
    decayed = [name for name, parameter in model.named_parameters() if parameter.dim() > 1]
    found = rates(model, TrainingSettings(weight_decay=0.3), decayed)
    assert {name for name, (_, decay) in found.items() if decay == 0.3} == set(decayed)
    assert {decay for _, decay in found.values()} == {0.0, 0.3}


def test_what_is_frozen_is_in_no_group():
    model = classifier()
    model.model.encoder.blocks[1].requires_grad_(False)
    found = rates(model, TrainingSettings(lr=1.0, pretrained_lr=0.5, layer_decay=0.1))
    assert not [name for name in found if ".blocks.1." in name]
    assert found["model.encoder.blocks.0.norms.0.weight"][0] == pytest.approx(0.5 * 0.01)


def test_rates_follow_a_schedule():
    model = classifier()
    optimizer = torch.optim.AdamW(parameter_groups(model, TrainingSettings(lr=1e-2, pretrained_lr=0.5), []))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    before = [group["lr"] for group in optimizer.param_groups]
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([lr / 2 for lr in before])
