"""A copy of the package's source that may be edited, whose digests count in place of the package's."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypermixer.studies import code


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    copy = tmp_path / "somewhere" / "hypermixer"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copy)
    code.digest.cache_clear()
    yield copy
    code.digest.cache_clear()
