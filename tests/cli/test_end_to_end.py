"""A file of texts to a classifier and back, through the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hypermixer.cli import app
from tests.cli.conftest import TINY, write_csv

PROGRAM = [sys.executable, "-c", "from hypermixer.cli import main; main()"]


def test_train_evaluate_predict(command, texts, model, tmp_path):
    names = {"config.json", "model.safetensors", "tokenizer.json", "hypermixer.json"}
    assert names <= {path.name for path in model.iterdir()} <= names | {"tokenizer_config.json"}
    result = command("evaluate", model, texts, "--json")
    assert (result.code, result.err) == (0, "")
    metrics = json.loads(result.out)
    assert {"accuracy", "macro_f1", "loss", "examples", "seconds"} <= metrics.keys()
    assert metrics["examples"] == 67 and metrics["accuracy"] > 0.8

    result = command("predict", model, texts, "--out", tmp_path / "p.jsonl", "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["examples"] == 67
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [line["origin"].rpartition(":")[2] for line in lines] == [str(n) for n in range(2, 69)]
    labels = [row.rpartition(",")[2] for row in texts.read_text().splitlines()[1:]]
    right = sum(line["label"] == label for line, label in zip(lines, labels, strict=True))
    assert right / 67 == pytest.approx(metrics["accuracy"])
    for line in lines:
        assert line["label"] == max(line["scores"], key=line["scores"].get)
        assert sum(line["scores"].values()) == pytest.approx(1)


def test_tables_for_people(command, texts, model):
    result = command("evaluate", model, texts)
    assert result.code == 0 and result.err == ""
    assert {"label", "precision", "recall", "f1", "examples"} <= set(result.out.split())


def test_record_tells_where_the_model_comes_from(model, texts):
    record = json.loads((model / "hypermixer.json").read_text())
    assert record["labels"] == ["bad", "good"]
    assert record["data"]["train"]["source"] == str(texts)
    assert record["data"]["train"]["examples"] + record["data"]["evaluation"]["examples"] == 67
    assert len(record["data"]["train"]["fingerprint"]) == 64
    assert record["settings"]["runtime"]["seed"] == 0
    assert record["cost"]["parameters"] > 0 and record["cost"]["tokens_per_second"] > 0
    assert "torch" in record["environment"]["versions"]


def test_hugging_face_reads_it(model, command, texts, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    import hypermixer  # noqa: F401 - registers the Auto classes

    loaded = AutoModelForSequenceClassification.from_pretrained(model)
    assert loaded.config.id2label == {0: "bad", 1: "good"}
    command("predict", model, texts, "--out", tmp_path / "p.jsonl")
    first = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])
    assert pipeline("text-classification", model=str(model))("red")[0]["label"] in {"bad", "good"}
    classify = pipeline("text-classification", model=loaded, tokenizer=AutoTokenizer.from_pretrained(model))
    answer = classify(texts.read_text().splitlines()[1].rpartition(",")[0])[0]
    assert answer["label"] == first["label"]
    assert answer["score"] == pytest.approx(first["scores"][first["label"]], abs=1e-5)


def test_json_limit_eval_and_overwrite(command, texts, tmp_path):
    held_out = write_csv(tmp_path / "held_out.csv", 11, seed=5)
    arguments = ["train", texts, "--eval", held_out, "--limit", 20, "--out", tmp_path / "m", "--json", *TINY]
    result = command(*arguments)
    assert (result.code, result.err) == (0, "")
    summary = json.loads(result.out)
    assert (summary["examples"], summary["train_examples"]) == (11, 20)
    (tmp_path / "m" / "notes.txt").write_text("mine")
    again = command(*arguments, "--overwrite")
    assert again.code == 0
    times = ("seconds_per_epoch", "tokens_per_second")
    first, second = json.loads(result.out), json.loads(again.out)
    assert first.keys() == second.keys()
    assert all(first[k] == second[k] for k in first if k not in times and not k.endswith("_seconds"))
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "m" / "checkpoints").exists()


def test_columns_of_training_hold_for_the_model(command, tmp_path):
    data = write_csv(tmp_path / "reviews.csv", 40, seed=3, head=("review", "stars"))
    assert command("train", data, "--text", "review", "--label", "stars", "--out", tmp_path / "m", *TINY).code == 0
    assert command("evaluate", tmp_path / "m", data, "--json").code == 0
    (tmp_path / "new.csv").write_text('review\nfine\n""\n')
    assert command("predict", tmp_path / "m", tmp_path / "new.csv", "--out", tmp_path / "p.jsonl").code == 0
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 2


def test_text_of_ten_million_characters(command, texts, tmp_path):
    long = "goodish " * 1_250_000
    (tmp_path / "long.csv").write_text(texts.read_text() + f"{long},good\n")
    flags = [*TINY, "--epochs", 1, "--max-length", 32]
    result = command("train", tmp_path / "long.csv", "--eval", texts, "--out", tmp_path / "m", *flags, "--json")
    assert json.loads(result.out)["cut"] == 1
    result = command("predict", tmp_path / "m", tmp_path / "long.csv", "--out", tmp_path / "p.jsonl", "--json")
    assert (json.loads(result.out)["examples"], json.loads(result.out)["cut"]) == (68, 1)
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 68
    result = command("evaluate", tmp_path / "m", tmp_path / "long.csv", "--json")
    assert json.loads(result.out)["cut"] == 1
    assert "Cut to 32 tokens: 1 inputs." in command("evaluate", tmp_path / "m", tmp_path / "long.csv").out
    assert "Cut" not in command("evaluate", tmp_path / "m", texts).out


def test_rows_without_a_gold_label_are_counted(command, texts, model, tmp_path, monkeypatch):
    from dataclasses import replace

    from hypermixer.data import sources

    def load(*args, **kwargs):
        return replace(sources.load(*args, **kwargs), dropped=4)

    for module in ("data.parts", "cli.options", "cli.data"):
        monkeypatch.setattr(f"hypermixer.{module}.load", load)
    out = tmp_path / "m"
    result = command("train", texts, "--out", out, *TINY, "--epochs", 1, "--json")
    assert json.loads(result.out)["dropped"] == 4
    assert json.loads((out / "hypermixer.json").read_text())["data"]["train"]["dropped"] == 4
    assert "gold" in command("train", texts, "--out", out, *TINY, "--epochs", 1, "--overwrite").out
    assert json.loads(command("evaluate", model, texts, "--json").out)["dropped"] == 4
    assert "dropped" in command("evaluate", model, texts).out.split()
    predicting = ["predict", model, texts, "--out", tmp_path / "p.jsonl", "--overwrite"]
    assert json.loads(command(*predicting, "--json").out)["dropped"] == 4
    assert json.loads(command("data", texts, "--json").out)["splits"][0]["dropped"] == 4
    assert "gold" in command("data", texts).out
    assert "gold" in command(*predicting).out


def test_columns_of_training_hold_for_a_hub_set(monkeypatch):
    from hypermixer.cli import options
    from hypermixer.data.example import Columns

    asked = []
    monkeypatch.setattr(options, "splits", lambda spec: ("train", "test"))
    monkeypatch.setattr("hypermixer.data.parts.splits", lambda spec: ("train", "test"))
    monkeypatch.setattr(options, "load", lambda spec, **kwargs: asked.append((spec, kwargs)))
    record = {"settings": {"data": {"text": "review", "pair": None, "label": "stars"}}}
    for spec in ("hf:owner/name", "builtin:nli"):
        options.load_for_model(spec, None, Columns(), record, need_label=True)
    options.load_for_model("hf:owner/name", "train", Columns(text="body"), record, need_label=False)
    assert [kwargs["columns"] for _, kwargs in asked] == [Columns("review", None, "stars"), Columns(), Columns("body")]
    assert [kwargs["split"] for _, kwargs in asked] == ["test", "test", "train"]


def test_pairs_and_the_other_mixer(command, tmp_path):
    flags = ["--mixer", "attention", "--heads", 2, "--limit", 30, "--set", "runtime.threads=1"]
    assert command("train", "builtin:nli,n=60", "--out", tmp_path / "m", *TINY, *flags).code == 0
    result = command("evaluate", tmp_path / "m", "builtin:nli,n=30", "--split", "test", "--json")
    assert json.loads(result.out)["examples"] == 30
    assert json.loads((tmp_path / "m" / "config.json").read_text())["mixer"] == "attention"


def test_interrupted_and_resumed_equals_uninterrupted(command, texts, model, tmp_path, monkeypatch):
    out = tmp_path / "m"

    def interrupting(report):
        def act(done, total):
            if done == 9:
                os.kill(os.getpid(), signal.SIGINT)

        return act

    from contextlib import contextmanager

    @contextmanager
    def progress(what):
        yield interrupting(what)

    arguments = ["train", texts, "--out", out, *TINY]
    with monkeypatch.context() as patch:
        patch.setattr("hypermixer.cli.train.progress", progress)
        patch.setattr(sys, "argv", ["hypermixer", *map(str, arguments)])
        stopped = command(*arguments)
    assert stopped.code == 1 and stopped.out == "" and len(stopped.err.splitlines()) == 1
    assert "checkpoint-9" in stopped.err and stopped.err.rstrip().endswith("--resume")
    unfinished = command("evaluate", out, texts)
    assert unfinished.code == 2 and "--resume" in unfinished.err
    assert command(*arguments).code == 2
    assert command(*arguments, "--resume").code == 0
    assert (out / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert not (out / "checkpoints").exists()
    assert command(*arguments, "--resume").code == 2


def test_control_c_in_a_process_of_its_own(tmp_path):
    data = write_csv(tmp_path / "many.csv", 3000, seed=4)
    out = tmp_path / "m"
    arguments = ["train", str(data), "--out", str(out), *TINY, "--epochs", "40"]
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("checkpoints/checkpoint-*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    written, complaint = process.communicate(timeout=60)
    assert process.returncode == 1 and written == ""
    *notice, last = complaint.splitlines()
    assert "is kept" in last and "--resume" in last
    # Only where it came during an evaluation, which is waited for.
    assert len(notice) <= 1 and all("evaluation" in line for line in notice)


def test_data_lists_and_describes(command, texts):
    listing = command("data")
    assert listing.code == 0 and "builtin:nli" in listing.out and "sst2" in listing.out
    described = json.loads(command("data", texts, "--json").out)
    assert described["splits"][0]["examples"] == 67
    assert set(described["splits"][0]["labels"]) == {"good", "bad"}
    assert "good" in command("data", texts).out
    assert {"builtin:nli"} <= {source["name"] for source in json.loads(command("data", "--json").out)["sources"]}


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], *([name, "--help"] for name in ("train", "evaluate", "convert", "embed"))]
)
def test_help_loads_nothing_heavy(arguments):
    heavy = ["torch", "transformers", "numpy", "sklearn", "matplotlib", "optuna", "pyarrow", "datasets", "ray"]
    code = f"import sys; from hypermixer.cli.app import run; run(sys.argv[1:]); assert not {heavy} & sys.modules.keys()"
    code = code.replace(str(heavy), str(set(heavy)))
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: hypermixer" in done.stdout


def test_help_of_train_names_every_flag(command):
    text = command("train", "--help").out
    flags = (
        "--out --eval --text --pair --label --split --mixer --heads --d-model --d-hidden --layers --layout --tokenizer "
        "--max-length --epochs --lr --batch-size --limit --seed --device --resume --overwrite --json --set --config"
    )
    assert [flag for flag in flags.split() if flag not in text] == []


def test_programming_error_is_not_hidden(monkeypatch, texts, tmp_path):
    monkeypatch.setattr("hypermixer.cli.train.load_parts", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app.run(["train", str(texts), "--out", str(tmp_path / "m")])
