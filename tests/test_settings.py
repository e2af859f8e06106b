"""Settings: where values come from, what is refused, and how the refusal names the option."""

import re

import pytest

from hypermixer.errors import InputError
from hypermixer.settings import FLAGS, SECTIONS, Settings, describe


def test_defaults_then_file_then_set_then_flag(tmp_path):
    config = tmp_path / "run.toml"
    config.write_text("[training]\nepochs = 7\nlr = 1e-2\nbatch_size = 3\n[encoder]\nlayout = 'post'\n")
    settings = Settings.build(config, {"batch_size": "5", "lr": None}, ["training.lr=0.25", "training.batch_size=4"])
    assert (settings.training.epochs, settings.training.lr, settings.training.batch_size) == (7, 0.25, 5)
    assert settings.encoder.config == {"layout": "post"}
    assert settings.training.patience == Settings().training.patience


def test_flags_reach_their_sections():
    flags = {"d_model": "64", "heads": "4", "d_hidden": "96", "seed": "9", "eval": "x.csv", "tokenizer": "dir"}
    settings = Settings.build(flags=flags)
    assert settings.encoder.config == {"hidden_size": 64}
    assert settings.mixer.options == {"num_heads": 4, "d_hidden": 96}
    assert (settings.runtime.seed, settings.data.evaluation, settings.tokens.tokenizer) == (9, "x.csv", "dir")


def test_preset_is_the_ground_that_keys_build_on():
    settings = Settings.build(sets=["encoder.preset=tiny", "encoder.num_hidden_layers=3"])
    assert settings.encoder.config["num_hidden_layers"] == 3
    assert settings.encoder.config["hidden_size"] == 64


def test_mixer_options_are_typed_by_the_mixer():
    settings = Settings.build(sets=["mixer.tied=false", "mixer.normalization=length", "mixer.d_hidden=none"])
    assert settings.mixer.options == {"tied": False, "normalization": "length", "d_hidden": None}


def test_python_options():
    settings = Settings().replace(mixer="attention", heads=2, **{"training.patience": 9}).replace(lr=0.5)
    assert (settings.mixer.name, settings.mixer.options) == ("attention", {"num_heads": 2})
    assert (settings.training.patience, settings.training.lr) == (9, 0.5)
    assert settings.replace(mixer="hypermixing").mixer.options == {}


@pytest.mark.parametrize(
    ("flags", "sets", "names"),
    [
        ({"lr": "nan"}, [], ["--lr"]),
        ({"lr": "inf"}, [], ["--lr"]),
        ({"lr": "-1"}, [], ["--lr", "-1"]),
        ({"lr": "0"}, [], ["--lr"]),
        ({"lr": "fast"}, [], ["--lr", "fast"]),
        ({"epochs": "0"}, [], ["--epochs"]),
        ({"epochs": "1.5"}, [], ["--epochs", "1.5"]),
        ({"batch_size": "0"}, [], ["--batch-size"]),
        ({"limit": "0"}, [], ["--limit"]),
        ({"seed": "-1"}, [], ["--seed"]),
        ({"max_length": "1"}, [], ["--max-length"]),
        ({"layers": "0"}, [], ["--layers"]),
        ({"layout": "pst"}, [], ["--layout", "'post'"]),
        ({"mixer": "hypermixin"}, [], ["--mixer", "'hypermixing'"]),
        ({"mixer": "attention", "d_hidden": "64"}, [], ["--d-hidden", "attention"]),
        ({"heads": "3"}, [], ["--heads", "256"]),
        ({"heads": "4", "d_model": "30"}, [], ["--heads", "30"]),
        ({"heads": "0"}, [], ["--heads"]),
        ({"mixer": "attention", "d_model": "100"}, [], ["--d-model: ", "--heads", "100"]),
        ({"d_model": "30"}, ["mixer.num_heads=4"], ["--set mixer.num_heads", "30"]),
        ({"tokenizer": "dir"}, ["tokens.vocab_size=900"], ["--set tokens.vocab_size", "tokens.tokenizer"]),
        ({}, ["encoder.feature_mixing=false", "encoder.intermediate_size=8"], ["--set encoder.intermediate_size"]),
        ({}, ["encoder.preset=token_only", "encoder.intermediate_size=8"], ["encoder.intermediate_size", "preset"]),
        ({"mixer": "mlp_mixer", "max_length": "251"}, [], ["--max-length", "251", "250", "mlp_mixer"]),
        ({"mixer": "mlp_mixer", "max_length": "251"}, ["mixer.max_length=100"], ["--max-length", "100"]),
        ({"mixer": "gmlp"}, ["tokens.max_length=300"], ["--set tokens.max_length", "300", "100"]),
        ({"mixer": "gmlp"}, ["mixer.max_length=0"], ["--set mixer.max_length", "0"]),
        ({"mixer": "gmlp"}, ["mixer.max_length=1.5"], ["--set mixer.max_length", "1.5"]),
        ({"mixer": "gmlp"}, ["mixer.tied=true"], ["--set mixer.tied", "gmlp"]),
        ({"mixer": "fnet", "heads": "2"}, [], ["--heads", "fnet"]),
        ({"mixer": "permutator"}, ["mixer.segments=7"], ["--set mixer.segments", "256"]),
        ({"mixer": "cycle"}, ["mixer.kernel=4"], ["--set mixer.kernel", "4"]),
        ({"pretrained": "d", "d_model": "32"}, [], ["--d-model", "pretrained"]),
        ({"pretrained": "d", "layers": "1"}, [], ["--layers", "pretrained"]),
        ({"pretrained": "d", "layout": "pre"}, [], ["--layout", "pretrained"]),
        ({"pretrained": "d", "mixer": "fnet"}, [], ["--mixer", "pretrained"]),
        ({"pretrained": "d", "heads": "2"}, [], ["--heads", "pretrained"]),
        ({"pretrained": "d", "tokenizer": "t"}, [], ["--tokenizer", "pretrained"]),
        ({"pretrained": "d"}, ["encoder.preset=tiny"], ["--set encoder.preset", "pretrained"]),
        ({"pretrained": "d"}, ["tokens.vocab_size=99"], ["--set tokens.vocab_size", "pretrained"]),
        ({}, ["encoder.pretrained=d", "mixer.tied=false"], ["--set mixer.tied", "pretrained"]),
        ({}, ["training.pretrained_lr=0.1"], ["--set training.pretrained_lr", "--from"]),
        ({}, ["training.layer_decay=0.5"], ["--set training.layer_decay", "--from"]),
        ({"pretrained": "d"}, ["training.pretrained_lr=-1"], ["--set training.pretrained_lr", "0"]),
        ({"pretrained": "d"}, ["training.layer_decay=0"], ["--set training.layer_decay", "0"]),
        ({"pretrained": "d"}, ["training.layer_decay=1.5"], ["--set training.layer_decay", "1"]),
        ({}, ["training.learning_rate=1"], ["--set training.learning_rate"]),
        ({}, ["training.epoch=1"], ["--set training.epoch", "'epochs'"]),
        ({}, ["trainin.lr=1"], ["trainin", "'training'"]),
        ({}, ["encoder.layers=1"], ["encoder.layers"]),
        ({}, ["encoder.vocab_size=9"], ["encoder.vocab_size", "tokens.vocab_size"]),
        ({}, ["encoder.preset=smal"], ["encoder.preset", "'small'"]),
        ({}, ["encoder.hidden_dropout_prob=1"], ["encoder.hidden_dropout_prob"]),
        ({}, ["mixer.head=2"], ["mixer.head"]),
        ({}, ["mixer.tied=maybe"], ["mixer.tied", "maybe"]),
        ({}, ["mixer.normalization=lenght"], ["mixer"]),
        ({}, ["runtime.precision=fp16"], ["runtime.precision", "bf16"]),
        ({}, ["lr=1"], ["--set lr"]),
        ({}, ["training.lr"], ["--set training.lr"]),
        ({}, ["training.warmup_fraction=1"], ["training.warmup_fraction"]),
    ],
)
def test_refused_by_name(flags, sets, names):
    with pytest.raises(InputError) as caught:
        Settings.build(flags=flags, sets=sets)
    for name in names:
        assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_idle_options_are_found_across_calls_and_in_python():
    first = Settings().replace(**{"tokens.vocab_size": 900})
    with pytest.raises(InputError, match=r"^tokenizer: .*tokens\.vocab_size"):
        first.replace(tokenizer="dir")
    without = Settings().replace(**{"encoder.preset": "small", "encoder.feature_mixing": False})
    assert without.encoder.config["feature_mixing"] is False
    with pytest.raises(InputError, match=r"^d_model: .*heads and d_model|^d_model: .*d_model and heads"):
        Settings().replace(mixer="attention", d_model=100)


def test_a_shorter_mixer_cuts_where_nobody_asked_for_a_length():
    settings = Settings().replace(mixer="gmlp")
    assert settings.tokens.max_length == 512
    assert Settings.from_dict(settings.as_dict(), "f.json: settings") == settings
    assert Settings().replace(mixer="gmlp", max_length=100).tokens.max_length == 100
    with pytest.raises(InputError, match=r"^max_length: 400 .* 100 .*gmlp"):
        Settings().replace(max_length=400).replace(mixer="gmlp")


def test_a_pretrained_encoder_and_what_is_free_beside_it():
    settings = Settings.build(
        flags={"pretrained": "d", "max_length": "99", "lr": "0.1"},
        sets=["training.pretrained_lr=0", "training.layer_decay=0.5", "encoder.hidden_dropout_prob=0.2"],
    )
    assert settings.encoder.pretrained == "d" and settings.encoder.config == {"hidden_dropout_prob": 0.2}
    assert (settings.training.pretrained_lr, settings.training.layer_decay) == (0, 0.5)
    assert Settings.from_dict(settings.as_dict(), "f.json: settings") == settings
    with pytest.raises(InputError, match=r"^training\.layer_decay: "):
        Settings().replace(**{"training.layer_decay": 0.5})
    assert Settings().replace(pretrained="d").replace(**{"training.layer_decay": 0.5}).training.layer_decay == 0.5


def test_table_and_back():
    settings = Settings.build(
        flags={"mixer": "attention", "heads": "4", "d_model": "64", "text": "body", "lr": "0.25"},
        sets=["encoder.preset=small", "encoder.layout=post", "runtime.threads=2"],
    )
    assert Settings.from_dict(settings.as_dict(), "f.json: settings") == settings


@pytest.mark.parametrize(
    ("section", "content", "name"),
    [
        ("training", {"lr": "fast"}, "training.lr"),
        ("training", {"lrr": 1}, "training.lrr"),
        ("trainin", {}, "trainin"),
        ("training", None, "training"),
        ("mixer", {"options": 5}, "mixer.options"),
        ("mixer", {"options": {"num_heads": 7}}, "mixer.num_heads"),
        ("encoder", {"options": {"layout": "pst"}}, "encoder.layout"),
    ],
)
def test_table_that_is_wrong(section, content, name):
    with pytest.raises(InputError, match=rf"^f\.json: settings\.{name}"):
        Settings.from_dict(Settings().as_dict() | {section: content}, "f.json: settings")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("[training\n", ["run.toml", "line 1"]),
        ("lr = 1\n", ["run.toml", "lr"]),
        ("[training]\nlr = 'fast'\n", ["run.toml", "training.lr"]),
        ("[trainin]\nlr = 1\n", ["run.toml", "'training'"]),
        ("[trainin]\n", ["run.toml", "'training'"]),
    ],
)
def test_config_file_is_named(tmp_path, content, names):
    config = tmp_path / "run.toml"
    config.write_text(content)
    with pytest.raises(InputError) as caught:
        Settings.build(config)
    assert all(name in str(caught.value) for name in names)


def test_config_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(InputError, match=r"--config .*none\.toml"):
        Settings.build(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match=r"bytes\.toml.*byte 5"):
        Settings.build(tmp_path / "bytes.toml")


@pytest.mark.parametrize("option", ["learning_rate", "epoch", "text", "eval", "training.epoch"])
def test_unknown_python_option(option):
    with pytest.raises(InputError, match=re.escape(option)):
        Settings().replace(**{option: 1})


def test_every_flag_has_a_home_and_a_meaning():
    for name, flag in FLAGS.items():
        assert flag.section in SECTIONS
        assert len(describe(name)) > 10
    assert str(Settings().training.lr) in describe("lr")
    assert "256" in describe("d_model")
