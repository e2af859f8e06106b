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


def damaged(name):
    """What to do to a copy of a model directory, and the names to be told."""

    def truncate(path):
        content = (path / "model.safetensors").read_bytes()
        (path / "model.safetensors").write_bytes(content[: len(content) // 2])

    def edit(file, **changes):
        def change(path):
            table = json.loads((path / file).read_text())
            (path / file).write_text(json.dumps({**table, **changes}))

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
        "no tokenizer": (lambda path: (path / "tokenizer.json").unlink(), [path_name]),
    }[name]


path_name = "copy"
DAMAGES = [
    "no config",
    "broken config",
    "foreign model",
    "unknown mixer",
    "other width",
    "more layers",
    "truncated weights",
    "pickled weights",
    "no record",
    "labels that do not count up",
    "no tokenizer",
]


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_model_directory(command, tmp_path, texts, model, name):
    copy = tmp_path / path_name
    shutil.copytree(model, copy)
    damage, names = damaged(name)
    damage(copy)
    refused(command("evaluate", copy, texts), *names)


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
