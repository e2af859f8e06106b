"""Every bad request: exit code 2 (1 where work had begun), one line on standard error that names the culprit."""

import json
import os
import shutil

import pytest

from tests.cli.conftest import TINY, write_csv


def refused(result, *names, code=2):
    assert result.code == code, result
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(lines) == 1 and len(lines[0]) < 600, result.err
    for name in names:
        assert str(name) in lines[0], lines[0]
    assert "Traceback" not in result.err


def rows(text="a film", label="good", other="bad"):
    return f"text,label\n{text},{label}\nanother,{other}\na third,{label}\nlast one,{other}\n"


CONTENTS = {
    "empty file": ("f.csv", b"", ["f.csv"]),
    "header alone": ("f.csv", b"text,label\n", ["f.csv"]),
    "unknown suffix": ("f.xls", rows().encode(), ["f.xls", ".csv"]),
    "not UTF-8": ("f.csv", rows("caf\xe9").encode("latin-1"), ["f.csv", "2"]),
    "ragged row": ("f.csv", b"text,label\nfine,good\nfine,good,more\n", ["f.csv:3"]),
    "unterminated quote": ("f.csv", b'text,label\nfine,good\n"open,bad\n', ["f.csv:3"]),
    "missing text column": ("f.csv", b"txt,label\nfine,good\nfine,bad\n", ["f.csv", "txt"]),
    "missing label column": ("f.csv", b"text,lable\nfine,good\nfine,bad\n", ["f.csv", "label", "lable"]),
    "empty label": ("f.csv", rows(label="").encode(), ["f.csv:2", "label"]),
    "one class": ("f.csv", rows(other="good").encode(), ["f.csv", "good"]),
    "broken JSON": ("f.jsonl", b'{"text": "a", "label": "x"}\n{"text": "b", \n', ["f.jsonl:2"]),
    "not an object": ("f.jsonl", b'{"text": "a", "label": "x"}\n[1]\n', ["f.jsonl:2"]),
    "number for text": ("f.jsonl", b'{"text": "a", "label": "x"}\n{"text": 5, "label": "y"}\n', ["f.jsonl:2", "text"]),
    "null label": ("f.jsonl", b'{"text": "a", "label": "x"}\n{"text": "b", "label": null}\n', ["f.jsonl:2", "label"]),
    "corrupt gzip": ("f.csv.gz", b"\x1f\x8bnothing", ["f.csv.gz"]),
    "corrupt parquet": ("f.parquet", b"PAR1nothing", ["f.parquet"]),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_bad_training_file(command, tmp_path, kind):
    name, content, names = CONTENTS[kind]
    (tmp_path / name).write_bytes(content)
    refused(command("train", tmp_path / name, "--out", tmp_path / "model", *TINY), *names)
    assert not (tmp_path / "model").exists()


def test_missing_file_and_unknown_name(command, tmp_path, texts):
    refused(command("train", texts.with_name("text.csv"), "--out", tmp_path / "m"), "text.csv", "texts.csv")
    refused(command("train", "imbd", "--out", tmp_path / "m"), "imbd", "imdb")
    refused(command("train", "builtin:nly", "--out", tmp_path / "m"), "nly", "nli")
    refused(command("train", "builtin:nli,size=3", "--out", tmp_path / "m"), "size")
    refused(command("train", tmp_path, "--out", tmp_path / "m"), tmp_path.name)


def test_column_that_is_not_there(command, tmp_path, texts):
    refused(command("train", texts, "--text", "txt", "--out", tmp_path / "m"), "texts.csv", "txt", "text")
    refused(command("train", texts, "--label", "labels", "--out", tmp_path / "m"), "labels", "label")
    refused(command("train", texts, "--split", "train", "--out", tmp_path / "m"), "--split")


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--lr", "nan"], ["--lr"]),
        (["--lr", "-1e-3"], ["--lr", "-0.001"]),
        (["--lr", "fast"], ["--lr", "fast"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--limit", "0"], ["--limit"]),
        (["--limit", "1"], ["--limit 1", "texts.csv"]),
        (["--mixer", "attention", "--d-model", "100"], ["--d-model: ", "--heads"]),
        (["--mixer", "hypermixin"], ["--mixer", "hypermixing"]),
        (["--mixer", "attention", "--d-hidden", "32"], ["--d-hidden", "attention"]),
        (["--heads", "3"], ["--heads", "256"]),
        (["--layout", "prae"], ["--layout", "pre"]),
        (["--set", "training.learning=1"], ["training.learning"]),
        (["--set", "trainig.lr=1"], ["trainig", "training"]),
        (["--config", "none.toml"], ["--config", "none.toml"]),
        (["--device", "gpu"], ["--device", "gpu"]),
        (["--tokenizer", "./no-such-directory/tokenizer"], ["no-such-directory"]),
        (["--eval", "none.csv"], ["none.csv"]),
        (["--resume"], ["--resume"]),
        (["--resume", "--overwrite"], ["--resume", "--overwrite"]),
        (["--epoch", "3"], ["--epoch", "--epochs"]),
        (["--lr"], ["--lr"]),
    ],
)
def test_bad_option(command, tmp_path, texts, flags, names):
    refused(command("train", texts, "--out", tmp_path / "m", *flags), *names)
    assert not (tmp_path / "m").exists()


def test_missing_argument_and_unknown_command(command, texts):
    refused(command("train", texts), "--out")
    refused(command("train"), "TRAIN")
    refused(command("trian"), "trian", "train")


def test_cuda_where_there_is_none(command, tmp_path, texts, model, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(command("train", texts, "--out", tmp_path / "m", "--device", "cuda"), "--device cuda")
    refused(command("evaluate", model, texts, "--device", "cuda:1"), "--device cuda:1")


def test_label_that_training_never_saw(command, tmp_path, texts, model):
    (tmp_path / "other.csv").write_text("text,label\nfine,good\nfine,goood\n")
    refused(command("evaluate", model, tmp_path / "other.csv"), "other.csv:3", "goood", "'good'")
    result = command("train", texts, "--eval", tmp_path / "other.csv", "--out", tmp_path / "m", *TINY)
    refused(result, "other.csv:3", "goood")


def test_directory_that_holds_a_model(command, texts, model):
    before = (model / "model.safetensors").read_bytes()
    refused(command("train", texts, "--out", model, *TINY), "--out", model, "--overwrite")
    assert (model / "model.safetensors").read_bytes() == before


def test_out_that_cannot_be_a_directory(command, tmp_path, texts):
    (tmp_path / "file").write_text("")
    refused(command("train", texts, "--out", tmp_path / "file", *TINY), "--out", "file")
    refused(command("train", texts, "--out", tmp_path / "file" / "m", *TINY), "--out", "file")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_no_write_permission_by_mode(command, tmp_path, texts, model):
    (tmp_path / "closed").mkdir(mode=0o500)
    refused(command("train", texts, "--out", tmp_path / "closed" / "m", *TINY), "--out")
    refused(command("predict", model, texts, "--out", tmp_path / "closed" / "p.jsonl"), "--out")


def test_no_write_permission(command, tmp_path, texts, model, monkeypatch):
    import tempfile

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    refused(command("train", texts, "--out", tmp_path / "m", *TINY), "--out", "Permission denied")
    refused(command("predict", model, texts, "--out", tmp_path / "p.jsonl"), "--out", "Permission denied")


def test_disk_full_while_training(command, tmp_path, texts, monkeypatch):
    from transformers import PreTrainedModel

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    result = command("train", texts, "--out", tmp_path / "m", *TINY)
    refused(result, "No space left on device", "--resume", code=1)


def test_lost_run(command, tmp_path, texts):
    flags = ["--lr", "1e30", "--set", "runtime.precision=fp32", "--set", "training.clip=1e30"]
    result = command("train", texts, "--out", tmp_path / "m", "--layers", 1, "--d-model", 16, *flags)
    refused(result, "--lr", "step", code=1)


def damages():
    """What to do to a copy of a model directory, and the names to be told."""

    def truncate(path):
        content = (path / "model.safetensors").read_bytes()
        (path / "model.safetensors").write_bytes(content[: len(content) // 2])

    def edit(file, **changes):
        def change(path):
            table = json.loads((path / file).read_text())
            (path / file).write_text(json.dumps({**table, **changes}))

        return change

    def without(file, key):
        def change(path):
            table = json.loads((path / file).read_text())
            del table[key]
            (path / file).write_text(json.dumps(table))

        return change

    def set_in_settings(section, key, value):
        def change(path):
            table = json.loads((path / "hypermixer.json").read_text())
            table["settings"][section][key] = value
            (path / "hypermixer.json").write_text(json.dumps(table))

        return change

    def pickled(path):
        (path / "model.safetensors").rename(path / "pytorch_model.bin")

    return {
        "no config": (lambda path: (path / "config.json").unlink(), ["config.json"]),
        "broken config": (lambda path: (path / "config.json").write_text("{\n  oops"), ["config.json:2"]),
        "foreign model": (edit("config.json", model_type="bert"), ["config.json", "bert", "hypermixer"]),
        "unknown mixer": (edit("config.json", mixer="hypermixin"), ["config.json", "hypermixin"]),
        "other width": (edit("config.json", hidden_size=32), ["model.safetensors", "shape"]),
        "more layers": (edit("config.json", num_hidden_layers=2), ["model.safetensors", "missing"]),
        "truncated weights": (truncate, ["model.safetensors"]),
        "pickled weights": (pickled, ["pytorch_model.bin", "pickle"]),
        "no record": (lambda path: (path / "hypermixer.json").unlink(), ["hypermixer.json"]),
        "labels that do not count up": (edit("hypermixer.json", labels=["a"]), ["hypermixer.json", "labels"]),
        "labels in another order": (edit("hypermixer.json", labels=["good", "bad"]), ["hypermixer.json", "labels[0]"]),
        "labels of another kind": (edit("hypermixer.json", labels=[0, 1]), ["hypermixer.json", "labels"]),
        "labels twice": (edit("hypermixer.json", labels=["bad", "bad"]), ["hypermixer.json", "labels"]),
        "labels that are no numbers": (edit("hypermixer.json", label_type="int"), ["hypermixer.json", "label_type"]),
        "unknown label type": (edit("hypermixer.json", label_type=None), ["hypermixer.json", "label_type"]),
        "no length": (without("hypermixer.json", "max_length"), ["hypermixer.json", "max_length"]),
        "length as text": (edit("hypermixer.json", max_length="512"), ["hypermixer.json", "max_length", "'512'"]),
        "no pairs": (without("hypermixer.json", "pairs"), ["hypermixer.json", "pairs"]),
        "settings null": (edit("hypermixer.json", settings=None), ["hypermixer.json", "settings"]),
        "no settings": (without("hypermixer.json", "settings"), ["hypermixer.json", "settings"]),
        "section null": (edit("hypermixer.json", settings={"data": None}), ["hypermixer.json", "settings.data"]),
        "setting of another kind": (set_in_settings("training", "lr", "fast"), ["hypermixer.json", "training.lr"]),
        "unknown setting": (set_in_settings("training", "lrr", 1), ["hypermixer.json", "training.lrr"]),
        "column of another kind": (set_in_settings("data", "text", 5), ["hypermixer.json", "data.text"]),
        "layers 1.5": (edit("config.json", num_hidden_layers=1.5), ["config.json", "num_hidden_layers"]),
        "width 16.0": (edit("config.json", hidden_size=16.0), ["config.json", "hidden_size"]),
        "heads as text": (edit("config.json", mixer_options={"num_heads": "2"}), ["config.json", "num_heads"]),
        "classes as a list": (edit("config.json", id2label=["bad", "good"]), ["config.json"]),
        "no tokenizer": (lambda path: (path / "tokenizer.json").unlink(), [path_name]),
        "broken tokenizer": (lambda path: (path / "tokenizer.json").write_text("{}"), [path_name, "tokenizer"]),
    }


path_name = "copy"
DAMAGES = damages()


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_model_directory(command, tmp_path, texts, model, name):
    copy = tmp_path / path_name
    shutil.copytree(model, copy)
    damage, names = DAMAGES[name]
    damage(copy)
    result = command("evaluate", copy, texts)
    refused(result, *names)
    assert "--tokenizer" not in result.err
    refused(command("predict", copy, texts, "--out", tmp_path / "p.jsonl"), *names)


PAIRS = "text_a,text_b,label\n" + "a,b,good\nb,a,bad\n" * 9


def test_pairs_for_single_texts_and_the_reverse(command, tmp_path, texts, model):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(PAIRS)
    refused(command("evaluate", model, pairs), "pairs.csv:2", "--text")
    refused(command("predict", model, pairs, "--out", tmp_path / "p.jsonl"), "pairs.csv:2", "--text")
    refused(command("train", texts, "--eval", pairs, "--out", tmp_path / "m", *TINY), "pairs.csv:2", "--text")
    refused(command("train", pairs, "--eval", texts, "--out", tmp_path / "m", *TINY), "texts.csv:2", "--pair")
    assert not (tmp_path / "m").exists()
    assert command("train", pairs, "--out", tmp_path / "m", *TINY, "--epochs", 1).code == 0
    refused(command("predict", tmp_path / "m", texts, "--out", tmp_path / "p.jsonl"), "texts.csv:2", "--pair")
    refused(command("evaluate", tmp_path / "m", texts), "texts.csv:2", "--pair")
    assert command("evaluate", tmp_path / "m", pairs).code == 0
    assert not (tmp_path / "p.jsonl").exists()


def test_run_that_fails_keeps_the_model_it_was_to_replace(command, tmp_path, texts, model):
    copy = tmp_path / "m"
    shutil.copytree(model, copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    lost = ["--lr", "1e30", "--set", "runtime.precision=fp32", "--set", "training.clip=1e30"]
    result = command("train", texts, "--out", copy, "--overwrite", "--layers", 1, "--d-model", 16, *lost)
    refused(result, "--lr", "--overwrite", code=1)
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == before
    assert command("evaluate", copy, texts).code == 0
    refused(command("train", texts, "--out", copy, *TINY), "--resume", "--overwrite")


def test_threads_are_the_only_setting_of_a_trained_model(command, tmp_path, texts, model):
    import torch

    before = torch.get_num_threads()
    assert command("evaluate", model, texts, "--set", "runtime.threads=3").code == 0
    assert torch.get_num_threads() == before
    refused(command("evaluate", model, texts, "--set", "training.lr=1"), "--set training.lr", "runtime.threads")
    for wrong in ("0", "x"):
        result = command("predict", model, texts, "--out", tmp_path / "p", "--set", f"runtime.threads={wrong}")
        refused(result, "--set runtime.threads")


def test_model_directory_that_is_none(command, tmp_path, texts):
    refused(command("evaluate", tmp_path / "none", texts), "none")
    refused(command("predict", texts, texts, "--out", tmp_path / "p.jsonl"), "texts.csv")
    refused(command("evaluate", tmp_path, texts), tmp_path)


def test_prediction_file(command, tmp_path, texts, model):
    out = tmp_path / "p.jsonl"
    out.write_text("mine")
    refused(command("predict", model, texts, "--out", out), "--out", "p.jsonl", "--overwrite")
    assert out.read_text() == "mine"
    refused(command("predict", model, texts, "--out", tmp_path), "--out")
    refused(command("predict", model, texts, "--out", tmp_path / "none" / "p.jsonl"), "--out", "none")
    refused(command("predict", model, texts, "--out", tmp_path / "q.jsonl", "--batch-size", 0), "--batch-size")
    write_csv(tmp_path / "other.csv", 5, seed=2, head=("body", "label"))
    refused(command("predict", model, tmp_path / "other.csv", "--out", tmp_path / "q.jsonl"), "body", "--text")
    assert not (tmp_path / "q.jsonl").exists()
