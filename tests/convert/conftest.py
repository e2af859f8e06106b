import pytest

from hypermixer.convert.teacher import Teacher
from tests.convert.teachers import load, write_teacher


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A BERT with a head for masked tokens, as sentence-transformers writes it; nothing is written into it."""
    return write_teacher(tmp_path_factory.mktemp("teachers") / "bert", head=True, pooling="mean", normalize=True)


@pytest.fixture(scope="session")
def teacher(folder) -> Teacher:
    return load(folder)
