"""Import order and weight of `import hypermixer`, each in a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypermixer import HyperMixerConfig, HyperMixerForSequenceClassification

HEAVY = ("torch", "transformers", "datasets", "sklearn", "pyarrow", "typer", "rich")
USE = "print(type(AutoModelForSequenceClassification.from_pretrained(sys.argv[1])).__name__)"


def run(code: str, *arguments: str) -> str:
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_is_light() -> None:
    code = f"import sys, hypermixer; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code) == "[]"


@pytest.mark.parametrize(
    "imports",
    [
        "import hypermixer; from transformers import AutoModelForSequenceClassification",
        "from transformers import AutoModelForSequenceClassification; import hypermixer",
        "import transformers; import hypermixer; from transformers import AutoModelForSequenceClassification",
        "from hypermixer import HyperMixing; from transformers import AutoModelForSequenceClassification",
    ],
)
def test_auto_classes_know_us_in_either_order(tmp_path: Path, imports: str) -> None:
    shape: dict[str, Any] = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
    HyperMixerForSequenceClassification(HyperMixerConfig(**shape)).save_pretrained(tmp_path)
    assert run(f"import sys; {imports}; {USE}", str(tmp_path)) == "HyperMixerForSequenceClassification"


def test_unknown_attributes_are_attribute_errors() -> None:
    import hypermixer

    with pytest.raises(AttributeError):
        _ = hypermixer.NoSuchThing  # pyright: ignore[reportAttributeAccessIssue]
    assert set(hypermixer.__all__) <= set(dir(hypermixer))
    for name in hypermixer.__all__:
        if name != "TextClassifier":
            assert getattr(hypermixer, name) is not None
