"""One small file of texts, one model trained on it, and a way to run a command line in this process."""

import csv
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from hypermixer.cli.app import run

TINY = ["--layers", "1", "--d-model", "16", "--epochs", "10", "--lr", "1e-2", "--batch-size", "8", "--device", "cpu"]


def write_csv(path: Path, rows: int, seed: int, head: tuple[str, str] = ("text", "label")) -> Path:
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for _ in range(rows):
            label = draw.choice(["good", "bad"])
            words = [
                *draw.choices(["a", "the", "film", "was", "very", "rather"], k=draw.randrange(1, 7)),
                f"{label}ish",
            ]
            writer.writerow([" ".join(words), label])
    return path


@pytest.fixture
def command(capsys):
    """Runs a command line; gives its exit code and what it wrote."""

    def call(*arguments: object) -> SimpleNamespace:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return SimpleNamespace(code=code, out=written.out, err=written.err)

    return call


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("texts") / "texts.csv", 67, seed=1)


@pytest.fixture(scope="session")
def model(tmp_path_factory, texts):
    out = tmp_path_factory.mktemp("models") / "model"
    assert run(["train", str(texts), "--out", str(out), *TINY]) == 0
    return out
