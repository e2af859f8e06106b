"""Model directories: a Hugging Face directory and `hypermixer.json`, written whole or not at all, read with care."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hypermixer.data.tokens import load_tokenizer
from hypermixer.errors import InputError
from hypermixer.training import checkpoints
from hypermixer.training.environment import quiet_transformers
from hypermixer.training.record import check_record

RECORD = "hypermixer.json"
_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
#: Everything a model directory of ours may hold: what another model replaces, and nothing else.
_OURS = (
    _CONFIG, _WEIGHTS, RECORD, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
    "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling", "2_Normalize",
)  # fmt: skip


def holds_model(directory: Path) -> bool:
    """Whether writing a model into `directory` would replace something."""
    return any((directory / name).exists() for name in _OURS)


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


def write(
    directory: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    record: dict[str, Any],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write a model directory, whole or not at all: a model that stood there stays until this one is complete.

    Args:
        directory: to write into; a model in it is replaced, other files stay.
        model, tokenizer: to save.
        record: content of `hypermixer.json`.
        more: content of further JSON files, by their paths.
    """
    directory.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=directory))
    try:
        with quiet_transformers():
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        for name, content in {RECORD: record, **(more or {})}.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        # safetensors makes its file readable by its owner alone.
        (temporary / _WEIGHTS).chmod((temporary / _CONFIG).stat().st_mode)
        _exchange(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, directory: Path) -> None:
    """Move a model's files from `new` into `directory`, and those of an older model out of it.

    `config.json`, without which nothing loads a model, leaves first and arrives last, so that no half is ever loaded.
    """
    old = new / "old"
    arriving = sorted((path.name for path in new.iterdir()), key=lambda name: name == _CONFIG)
    leaving = [name for name in _OURS if (directory / name).exists()]
    old.mkdir()
    try:
        for name in leaving:
            (directory / name).replace(old / name)
        for name in arriving:
            (new / name).replace(directory / name)
    except BaseException:
        for name in arriving:
            if not (new / name).exists():
                _remove(directory / name)
        for name in reversed(leaving):
            if (old / name).exists():
                (old / name).replace(directory / name)
        raise


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read(directory: Path, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, Any]]:
    """The model (in evaluation mode), its tokenizer and its record.

    Raises:
        InputError: the directory is missing, unfinished, damaged, of another kind of model, or has its weights as a
            pickle, which is never loaded; names the file.
    """
    from hypermixer.hf import HyperMixerConfig, HyperMixerForSequenceClassification
    from hypermixer.mixers import longest_of

    config_table = _json(_existing(directory, _CONFIG))
    kind = config_table.get("model_type")
    if kind != HyperMixerConfig.model_type:
        raise InputError(f"{directory / _CONFIG}: model_type is '{kind}', not '{HyperMixerConfig.model_type}'.")
    weights, record = _existing(directory, _WEIGHTS), _json(_existing(directory, RECORD))
    try:
        config = HyperMixerConfig.from_dict(config_table)
        id2label = {int(index): name for index, name in (config.id2label or {}).items()}
        model = HyperMixerForSequenceClassification(config)
    except InputError as error:
        raise InputError(f"{directory / _CONFIG}: {error}") from error
    except Exception as error:  # transformers and torch raise unrelated types where a value makes no sense
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(f"{directory / _CONFIG}: no model can be built from it ({reason}).") from error
    check_record(directory / RECORD, record, id2label)
    longest = longest_of(model)
    if longest is not None and record["max_length"] > longest:
        raise InputError(
            f"{directory / RECORD}: max_length is {record['max_length']}, but the mixer '{config.mixer}' of {_CONFIG}"
            f" takes {longest} tokens at most."
        )
    _load_weights(model, weights)
    tokenizer = load_tokenizer(str(directory), source=str(directory))
    if len(tokenizer) != config.vocab_size:
        raise InputError(
            f"{directory}: the tokenizer has {len(tokenizer)} entries, but {_CONFIG} has {config.vocab_size}."
        )
    model.eval()
    torch.nn.Module.to(model, device)
    return model, tokenizer, record


def read_encoder(name: str, device: torch.device) -> tuple[Any, PreTrainedTokenizerFast]:
    """An encoder (in evaluation mode) and its tokenizer, from a directory of ours or the Hugging Face hub.

    Of a classifier's directory it is the part below the classes.

    Raises:
        InputError: as `read`, or a name that the hub does not have.
    """
    from hypermixer.hf import HyperMixerConfig, HyperMixerModel

    directory = Path(name)
    if directory.exists() or name.count("/") != 1:
        table = _json(_existing(directory, _CONFIG))
        kind = table.get("model_type")
        if kind != HyperMixerConfig.model_type:
            raise InputError(
                f"{directory / _CONFIG}: model_type is '{kind}', not '{HyperMixerConfig.model_type}';"
                " hypermixer convert makes such an encoder of a Transformer."
            )
        _existing(directory, _WEIGHTS)
    try:
        with quiet_transformers():
            model, told = HyperMixerModel.from_pretrained(name, output_loading_info=True)
    except InputError:
        raise
    except Exception as error:  # transformers, safetensors and the hub raise unrelated types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(f"{name}: no encoder can be loaded from it ({reason}).") from error
    if told["missing_keys"]:
        raise InputError(f"{name}: weight '{min(told['missing_keys'])}' is missing.")
    tokenizer = load_tokenizer(name, source=name)
    entries = model.config.vocab_size
    if len(tokenizer) > entries:
        raise InputError(f"{name}: the tokenizer has {len(tokenizer)} entries, but {_CONFIG} has {entries}.")
    model.eval()
    return torch.nn.Module.to(model, device), tokenizer


def _existing(directory: Path, name: str) -> Path:
    if not directory.exists():
        raise InputError(f"{directory}: no such model directory.")
    if not directory.is_dir():
        raise InputError(f"{directory}: is a file, not a model directory.")
    path = directory / name
    if path.is_file():
        return path
    begun = checkpoints.begun(directory / checkpoints.FOLDER) if name == _CONFIG else None
    if begun is not None:
        work = "conversion" if "teacher" in begun else "training"
        command = {"conversion": "convert", "training": "train"}[work]
        raise InputError(f"{directory}: its {work} has not ended; go on with hypermixer {command} --resume.")
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
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON that can be read ({error}).") from error
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
            options = model.config.mixer_options
            why = [k for k, v in options.items() if type(v) is int and v in wanted and v not in was]
            because = f" (mixer_options.{why[0]})" if why else ""
            raise InputError(f"{path}: weight '{name}' has shape {was}, but {_CONFIG} asks for {wanted}{because}.")
    model.load_state_dict(weights)
