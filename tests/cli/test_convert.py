"""convert and embed: a teacher and texts to a model, a model and texts to vectors, and what is said where they fail."""

import json
import os
import signal

import numpy as np
import pytest
from pyarrow import parquet

from hypermixer import HyperMixerModel
from hypermixer.cli.app import run
from tests.cli.test_bad_input import refused
from tests.convert.teachers import FEATURES, LAYERS, WIDTH, change_json, texts, write_teacher

TINY = ["--steps", "6", "--device", "cpu", "--set", "conversion.batch_tokens=200"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A teacher, texts in three kinds of files, and what was made of them."""
    place = tmp_path_factory.mktemp("convert")
    write_teacher(place / "teacher", pooling="mean", normalize=True)
    (place / "texts.txt").write_text("\n".join(texts()[:130]) + "\n\n")
    (place / "more.csv").write_text("text\n" + "\n".join(texts()[120:150]) + "\n")
    (place / "few.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts()[:9]))
    assert (
        run(["convert", str(place / "teacher"), "--texts", str(place / "texts.txt"), "--out", str(place / "m"), *TINY])
        == 0
    )
    return place


def test_convert_says_what_it_did(command, place, tmp_path):
    result = command(
        "convert", place / "teacher", "--texts", place / "texts.txt", "--texts", place / "more.csv",
        "--out", tmp_path / "m", "--layers", 2, "--d-features", 9, "--seed", 3, "--json", *TINY,
    )  # fmt: skip
    assert result.code == 0, result.err
    (line,) = result.out.splitlines()
    said = json.loads(line)
    assert said["out"] == str(tmp_path / "m") and -1 <= said["agreement"] <= 1
    assert (said["read"], said["repeated"], said["empty"]) == (160, 10, 0)
    assert said["parameters"] > 0 and said["learned_from"] + said["held_out"] < said["pieces"] == 150
    assert not (tmp_path / "m" / "checkpoints").exists()
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["num_hidden_layers"] == 2 and config["intermediate_size"] == 9
    record = json.loads((tmp_path / "m" / "hypermixer.json").read_text())
    assert record["request"]["conversion"]["seed"] == 3 and record["agreement"]["held_out"] == said["agreement"]


def test_columns_of_files_are_named(command, place, tmp_path):
    lines = [f"{text},{other},good" for text, other in zip(texts()[:70], texts()[80:150], strict=True)]
    (tmp_path / "reviews.csv").write_text("\n".join(["review,title,verdict", *lines]) + "\n")
    given = ["convert", place / "teacher", "--texts", tmp_path / "reviews.csv", "--out", tmp_path / "m", *TINY]
    refused(command(*given), "reviews.csv", "review", "--text")
    result = command(*given, "--text", "review", "--pair", "title", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["read"] == 140


def test_convert_in_words(command, place, tmp_path):
    result = command(
        "convert", place / "teacher", "--texts", place / "texts.txt", "--out", tmp_path / "m", "--mixer", "attention",
        "--heads", 2, "--stages", "whole", "--lr", "1e-3", "--max-length", 12, "--vocabulary", "used", *TINY,
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "agreement with the teacher" in result.out and "130" in result.out and str(tmp_path / "m") in result.out
    record = json.loads((tmp_path / "m" / "hypermixer.json").read_text())
    assert record["request"]["student"]["options"] == {"num_heads": 2}
    assert record["request"]["conversion"]["max_length"] == 12


def test_flags_win_over_set_and_reach_the_mixer(command, place, tmp_path):
    result = command(
        "convert", place / "teacher", "--texts", place / "texts.txt", "--out", tmp_path / "m", "--d-hidden", 10,
        "--set", "mixer.d_hidden=99", "--set", "mixer.tied=true", "--set", "conversion.lr=1", "--lr", "0.001", *TINY,
    )  # fmt: skip
    assert result.code == 0, result.err
    request = json.loads((tmp_path / "m" / "hypermixer.json").read_text())["request"]
    assert request["student"]["options"] == {"d_hidden": 10, "tied": True} and request["conversion"]["lr"] == 0.001


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--layers", "99"], ["--layers 99", LAYERS]),
        (["--layers", "0"], ["--layers"]),
        (["--layers", "two"], ["--layers", "two"]),
        (["--d-model", WIDTH + 8], [f"--d-model {WIDTH + 8}", WIDTH]),
        (["--d-features", FEATURES + 1], ["--d-features", FEATURES]),
        (["--stages", "whle"], ["--stages", "'whole'"]),
        (["--stages", "whole,masked"], ["masked", "head"]),
        (["--minutes", "3"], ["--minutes", "--steps"]),
        (["--set", "conversion.minutes=3"], ["conversion.minutes", "--steps"]),
        (["--set", "conversion.batch_token=64"], ["--set conversion.batch_token", "'batch_tokens'"]),
        (["--set", "conversion.batch_tokens=3"], ["--set conversion.batch_tokens"]),
        (["--set", "conversion"], ["--set conversion", "section.key=value", "conversion, mixer"]),
        (["--set", "conversion.layerwise_share=0.2", "--stages", "whole"], ["conversion.layerwise_share", "no effect"]),
        (["--set", "conversion.layerwise_lr=0.2", "--stages", "whole"], ["conversion.layerwise_lr", "no effect"]),
        (["--lr", "0.2", "--stages", "layerwise"], ["--lr", "no effect", "layerwise"]),
        (["--set", "conversion.embedding_lr=1", "--stages", "layerwise"], ["conversion.embedding_lr", "no effect"]),
        (["--text", "txt"], ["txt"]),
        (["--set", "training.lr=3"], ["--set training.lr"]),
        (["--set", "mixer.tide=true"], ["--set mixer.tide", "'tied'"]),
        (["--mixer", "hypermixin"], ["--mixer", "'hypermixing'"]),
        (["--mixer", "fnet", "--heads", "2"], ["--heads", "fnet"]),
        (["--heads", "5"], ["--mixer hypermixing", "num_heads=5", WIDTH]),
        (["--mixer", "mlp_mixer", "--set", "mixer.max_length=2"], ["mlp_mixer", "2 tokens", "special"]),
        (["--lr", "fast"], ["--lr", "fast"]),
        (["--seed", "-1"], ["--seed"]),
        (["--vocabulary", "some"], ["--vocabulary", "all"]),
        (["--max-length", "99"], ["--max-length 99", "20"]),
        (["--device", "gpu"], ["--device", "gpu"]),
        (["--resume"], ["--resume"]),
        (["--resume", "--overwrite"], ["--resume", "--overwrite"]),
        (["--layer", "3"], ["--layer", "--layers"]),
        (["--texts", "none.txt"], ["none.txt"]),
    ],
)
def test_bad_requests(command, place, tmp_path, flags, names):
    given = ["convert", place / "teacher", "--texts", place / "texts.txt", "--out", tmp_path / "m", *TINY]
    refused(command(*given, *flags), *names)
    assert not (tmp_path / "m").exists()


def test_missing_or_wrong_things(command, place, tmp_path):
    source, out = ["--texts", place / "texts.txt"], ["--out", tmp_path / "m"]
    refused(command("convert", place / "teacher", *source), "--out")
    refused(command("convert", place / "teacher", *out), "--texts")
    refused(command("convert", *source, *out), "TEACHER")
    refused(command("convert", place / "none", *source, *out, *TINY), place / "none")
    refused(command("convert", place / "m", *source, *out, *TINY), place / "m", "hypermixer")
    refused(command("convert", place / "teacher", "--texts", place / "few.jsonl", *out, *TINY), "--texts", "100")
    write_teacher(tmp_path / "code")
    change_json(tmp_path / "code" / "config.json", auto_map={"AutoModel": "own.Model"})
    refused(command("convert", tmp_path / "code", *source, *out, *TINY), tmp_path / "code", "code")


@pytest.mark.parametrize("pairs", [False, True])
def test_a_classifier_begins_with_the_encoder(command, place, tmp_path, pairs):
    labelled = [{"text": text, "label": text.split()[0][0]} for text in texts()[:160]]
    if pairs:
        labelled = [{"text_a": row["text"], "text_b": "bamu il", "label": row["label"]} for row in labelled]
    (tmp_path / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    given = ["train", tmp_path / "labelled.jsonl", "--out", tmp_path / "c", "--from", place / "m"]
    refused(command(*given, "--layers", 2), "--layers", "pretrained encoder")
    refused(command(*given, "--mixer", "fnet"), "--mixer", "pretrained encoder")
    refused(command(*given[:-1], place / "teacher"), "config.json", "hypermixer convert")
    result = command(*given, "--epochs", 2, "--batch-size", 16, "--device", "cpu", "--json")
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "c" / "hypermixer.json").read_text())
    assert record["settings"]["encoder"]["pretrained"] == str(place / "m") and record["pairs"] is pairs
    assert record["settings"]["encoder"]["options"]["hidden_size"] == WIDTH
    classes = record["labels"]
    assert len(classes) == 5 and json.loads(result.out)["labels"] == 5
    answer = command("predict", tmp_path / "c", tmp_path / "labelled.jsonl", "--out", tmp_path / "answers.jsonl")
    assert answer.code == 0 and len((tmp_path / "answers.jsonl").read_text().splitlines()) == 160


def test_an_encoder_is_no_classifier(command, place, tmp_path):
    refused(command("evaluate", place / "m", "builtin:nli"), "hypermixer.json", "without classes", "--from")
    refused(command("predict", place / "m", place / "few.jsonl", "--out", tmp_path / "p.csv"), "without classes")


def test_places_that_are_taken(command, place, tmp_path):
    given = ["convert", place / "teacher", "--texts", place / "texts.txt", *TINY]
    before = (place / "m" / "model.safetensors").read_bytes()
    refused(command(*given, "--out", place / "m"), "--out", place / "m", "--overwrite")
    refused(command(*given, "--out", place / "texts.txt"), "--out")
    refused(command(*given, "--out", place / "texts.txt" / "m"), "--out")
    assert (place / "m" / "model.safetensors").read_bytes() == before
    assert command(*given, "--out", tmp_path / "m").code == 0
    assert command(*given, "--out", tmp_path / "m", "--overwrite", "--seed", 1).code == 0
    assert (tmp_path / "m" / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize("said", ["Asking the teacher", "Teaching the whole"])
def test_a_stop_says_how_to_go_on(command, place, tmp_path, monkeypatch, said):
    from hypermixer.convert import run as module

    given = ["convert", place / "teacher", "--texts", place / "texts.txt", "--out", tmp_path / "m", *TINY]
    real = module.convert

    def stopped(*args, report, **kwargs):
        def stopping(what, done, total, agreement):
            if what == said:
                os.kill(os.getpid(), signal.SIGINT)

        return real(*args, report=stopping, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "convert", stopped)
        refused(command(*given), "Stopped", "--resume", code=1)
    refused(command(*given), "--out", "--resume", "--overwrite")
    unfinished = ["embed", tmp_path / "m", place / "few.jsonl", "--out", tmp_path / "v.npy"]
    refused(command(*unfinished), tmp_path / "m", "conversion has not ended", "hypermixer convert --resume")
    result = command(*given, "--resume")
    assert result.code == 0, result.err
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == (place / "m" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
def test_embed(command, place, tmp_path, name):
    result = command("embed", place / "m", place / "few.jsonl", "--out", tmp_path / name, "--json")
    assert result.code == 0, result.err
    said = json.loads(result.out)
    assert (said["examples"], said["width"], said["out"]) == (9, WIDTH, str(tmp_path / name))
    expected = HyperMixerModel.from_pretrained(place / "m").encode(list(texts()[:9]))
    if name.endswith(".npy"):
        found = np.load(tmp_path / name)
    else:
        table = parquet.read_table(tmp_path / name)
        assert table["origin"].to_pylist() == [f"few.jsonl:{line}" for line in range(1, 10)]
        found = np.array(table["embedding"].to_pylist())
    assert found.shape == (9, WIDTH) and np.abs(found - expected).max() < 1e-6
    assert [path.name for path in tmp_path.iterdir()] == [name]
    refused(command("embed", place / "m", place / "few.jsonl", "--out", tmp_path / name), "--out", "--overwrite")
    again = command(
        "embed", place / "m", place / "few.jsonl", "--out", tmp_path / name, "--overwrite", "--batch-size", 2
    )
    assert again.code == 0 and "9 vectors" in again.out


def test_embed_with_a_classifiers_encoder_and_pairs(command, model, place, tmp_path):
    (tmp_path / "pairs.csv").write_text("text_a,text_b\na film,the film\nvery rather,was\n")
    for directory in (model, place / "m"):
        out = tmp_path / f"{directory.parent.name}.npy"
        result = command("embed", directory, tmp_path / "pairs.csv", "--out", out, "--precision", "bf16")
        assert result.code == 0, result.err
        assert np.load(out).shape[0] == 2 and np.isfinite(np.load(out)).all()


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--out", "v.csv"], ["v.csv", ".npy", ".parquet"]),
        (["--out", "no/where/v.npy"], ["--out", "no/where"]),
        (["--precision", "fp8"], ["--precision fp8", "bf16"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--device", "gpu"], ["--device", "gpu"]),
        (["--text", "txt"], ["--text", "txt"]),
        (["--set", "runtime.seed=1"], ["--set runtime.seed"]),
    ],
)
def test_bad_requests_to_embed(command, place, tmp_path, monkeypatch, flags, names):
    monkeypatch.chdir(tmp_path)
    refused(command("embed", place / "m", place / "few.jsonl", "--out", "v.npy", *flags), *names)
    assert list(tmp_path.iterdir()) == []


def test_embed_without_a_model(command, place, tmp_path):
    out = ["--out", tmp_path / "v.npy"]
    refused(command("embed", tmp_path / "none", place / "few.jsonl", *out), tmp_path / "none")
    refused(command("embed", place / "teacher", place / "few.jsonl", *out), "config.json", "bert")
    refused(command("embed", place / "teacher", place / "few.jsonl", *out), "hypermixer convert")
    refused(command("embed", place / "texts.txt", place / "few.jsonl", *out), "texts.txt")
    refused(command("embed", place / "m", place / "none.txt", *out), "none.txt")
    assert not (tmp_path / "v.npy").exists()
