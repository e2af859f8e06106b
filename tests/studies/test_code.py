"""The digest of source: what can change a number changes it, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hypermixer.mixers import MIXERS
from hypermixer.studies import code
from hypermixer.studies.code import digest, module_of

RUN = "hypermixer.studies.training_run"
NONE, MIXING = "hypermixer.mixers.none", "hypermixer.mixers.hypermixing"
MIXER = "hypermixer.mixers.hypermixing_mixer"


def now(*modules: str) -> str:
    code.digest.cache_clear()
    return digest(*modules)


def edit(path: Path, change: Callable[[str], str] = lambda text: text + "\nADDED = 1\n") -> None:
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before


@pytest.mark.parametrize(
    "name",
    [
        "mixers/hypermixing.py", "mixers/base.py", "mixers/sequences.py", "ops/hypermixing/dense.py", "ops/rows.py",
        "ops/hypermixing/native/norm.h", "ops/hypermixing/native/mixing.cpp", "encoder.py", "hf/modeling.py",
        "hf/__init__.py", "data/batches.py", "data/tokens.py", "training/__init__.py", "training/trainer.py",
        "studies/training_run.py", "studies/correctness.py", "encoder_config.py",
    ],
)  # fmt: skip
def test_what_a_run_goes_through_counts(tree: Path, name: str) -> None:
    before = now(RUN, MIXING)
    edit(tree / name)
    assert now(RUN, MIXING) != before


def test_other_mixers_and_what_shows_or_reads_do_not_count(tree: Path) -> None:
    before = now(RUN, NONE)
    kept = ("none.py", "base.py", "sequences.py")
    for path in [p for p in (tree / "mixers").glob("*.py") if p.name not in kept]:
        edit(path)
    for name in ("data/sources.py", "data/files.py", "data/nli.py", "report/page.py", "cli/train.py", "settings.py"):
        edit(tree / name)
    for name in ("studies/fill.py", "studies/folder.py", "studies/cell.py", "studies/engines.py", "__init__.py"):
        edit(tree / name)
    edit(tree / "ops" / "hypermixing" / "native" / "norm.h")
    (tree / "training" / "nobody_imports_this.py").write_text("X = 1\n")
    assert now(RUN, NONE) == before
    edit(tree / "mixers" / "none.py")
    assert now(RUN, NONE) != before


def test_words_and_layout_do_not_count(tree: Path) -> None:
    path = tree / "training" / "metrics.py"
    path.write_text(
        '"""One."""\nimport math\n\n\nclass A:\n    """Two."""\n\n    def f(self):\n        return math.pi\n'
    )
    before = now(RUN)
    path.write_text(
        '# Three.\nimport math  # four\nclass A:\n\n\n    def f(self):\n        """Five."""\n        return (math.pi)\n'
    )
    assert now(RUN) == before
    path.write_text('import math\nclass A:\n    def f(self):\n        "Five."\n        return math.e\n')
    assert now(RUN) != before


def test_a_text_that_is_no_docstring_counts(tree: Path) -> None:
    path = tree / "training" / "metrics.py"
    path.write_text('def f():\n    x = "a"\n    return x\n')
    before = now(RUN)
    edit(path, lambda text: text.replace('"a"', '"b"'))
    assert now(RUN) != before


def test_imports_inside_functions_are_followed(tree: Path) -> None:
    (tree / "ops" / "new.py").write_text("X = 1\n")
    edit(tree / "training" / "metrics.py", lambda text: text + "\n\ndef g():\n    from hypermixer.ops import new\n")
    before = now(RUN)
    edit(tree / "ops" / "new.py")
    assert now(RUN) != before


def test_where_the_package_lies_does_not_count(tree: Path) -> None:
    copied = now(RUN, MIXING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "PACKAGE", Path(code.__file__).parents[1])
        assert now(RUN, MIXING) == copied


def test_every_mixer_has_its_module() -> None:
    assert module_of(["none"]) == (NONE,)
    assert module_of(["none", "hypermixing", "none"]) == (MIXER, NONE)
    digests = {name: digest(RUN, *module_of([name])) for name in MIXERS}
    assert len(set(digests.values())) == len({MIXERS[name].__module__ for name in MIXERS})
