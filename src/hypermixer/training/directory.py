"""Model directories: a Hugging Face directory and `hypermixer.json`, written whole or not at all, read with care."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hypermixer.data.tokens import load_tokenizer
from hypermixer.errors import InputError
from hypermixer.training.environment import quiet_transformers

RECORD = "hypermixer.json"
_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
#: Everything a model directory of ours may hold: what `--overwrite` removes, and nothing else.
_OURS = (_CONFIG, _WEIGHTS, RECORD, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def holds_model(directory: Path) -> bool:
    """Whether writing a model into `directory` would replace something."""
    return any((directory / name).exists() for name in _OURS)


def remove_model(directory: Path) -> None:
    """Remove a model's files and no others; the configuration first, so that no half of it can be loaded."""
    for name in _OURS:
        (directory / name).unlink(missing_ok=True)


def require_writable(directory: Path, option: str) -> None:
    """Check that `directory`, or the nearest that exists above it, can be written into; nothing is made.

    Raises:
        InputError: it is a file, or may not be written; names `option`.
    """
    place = directory.absolute()
    try:
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except NotADirectoryError as error:
        raise InputError(f"{option} {directory}: {place} is not a directory.") from error
    except OSError as error:
        raise InputError(f"{option} {directory}: cannot be written ({error.strerror}).") from error


def write(directory: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, record: dict[str, Any]) -> None:
    """Write a model directory; `config.json`, without which nothing loads it, is put in place last.

    Args:
        directory: to write into; a model in it is replaced, other files stay.
        model, tokenizer: to save.
        record: content of `hypermixer.json`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=directory))
    try:
        with quiet_transformers():
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        (temporary / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        # safetensors makes its file readable by its owner alone.
        (temporary / _WEIGHTS).chmod((temporary / _CONFIG).stat().st_mode)
        remove_model(directory)
        for path in sorted(temporary.iterdir(), key=lambda path: path.name == _CONFIG):
            path.replace(directory / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read(directory: Path, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, Any]]:
    """The model (in evaluation mode), its tokenizer and its record.

    Raises:
        InputError: the directory is missing, unfinished, damaged, of another kind of model, or has its weights as a
            pickle, which is never loaded; names the file.
    """
    from hypermixer.hf import HyperMixerConfig, HyperMixerForSequenceClassification

    config_table = _json(_existing(directory, _CONFIG))
    kind = config_table.get("model_type")
    if kind != HyperMixerConfig.model_type:
        raise InputError(f"{directory / _CONFIG}: model_type is '{kind}', not '{HyperMixerConfig.model_type}'.")
    weights, record = _existing(directory, _WEIGHTS), _json(_existing(directory, RECORD))
    try:
        config = HyperMixerConfig.from_dict(config_table)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{directory / _CONFIG}: {error}") from error
    names = record.get("labels")
    if not isinstance(names, list) or len(names) != config.num_labels:
        found = len(names) if isinstance(names, list) else "no"
        raise InputError(f"{directory / RECORD}: has {found} labels, but {_CONFIG} has {config.num_labels}.")
    model = HyperMixerForSequenceClassification(config)
    _load_weights(model, weights)
    tokenizer = load_tokenizer(str(directory))
    if len(tokenizer) != config.vocab_size:
        raise InputError(
            f"{directory}: the tokenizer has {len(tokenizer)} entries, but {_CONFIG} has {config.vocab_size}."
        )
    model.eval()
    torch.nn.Module.to(model, device)
    return model, tokenizer, record


def _existing(directory: Path, name: str) -> Path:
    if not directory.exists():
        raise InputError(f"{directory}: no such model directory.")
    if not directory.is_dir():
        raise InputError(f"{directory}: is a file, not a model directory.")
    path = directory / name
    if path.is_file():
        return path
    if name == _CONFIG and (directory / "checkpoints" / "run.json").exists():
        raise InputError(f"{directory}: its training has not ended; go on with hypermixer train --resume.")
    if name == _WEIGHTS and (directory / "pytorch_model.bin").exists():
        raise InputError(f"{directory / 'pytorch_model.bin'}: weights in a pickle are never loaded; save safetensors.")
    raise InputError(f"{directory}: is not a HyperMixer model directory ({name} is missing).")


def _json(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: damaged JSON at column {error.colno}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: must hold a JSON object.")
    return table


def _load_weights(model: PreTrainedModel, path: Path) -> None:
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged weights ({error}).") from error
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights:
            raise InputError(f"{path}: weight '{name}' is missing.")
        if name not in expected:
            raise InputError(f"{path}: weight '{name}' does not belong to this model.")
        if weights[name].shape != expected[name]:
            was, wanted = list(weights[name].shape), list(expected[name])
            raise InputError(f"{path}: weight '{name}' has shape {was}, but {_CONFIG} asks for {wanted}.")
    model.load_state_dict(weights)
