"""What a sentence-transformers directory puts around its Transformer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from hypermixer.errors import InputError

#: Poolings of sentence-transformers, by the key in the configuration of its pooling module.
_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_max_tokens": "max",
}


@dataclass(frozen=True)
class Stack:
    """What a sentence-transformers directory puts on top of its Transformer."""

    folder: str = ""
    pooling: str = "mean"
    normalize: bool = False
    max_length: int | None = None
    lower_case: bool = False


def read_stack(directory: Path) -> Stack:
    """What modules.json and the files that it names say; an encoder of any other kind has the mean and nothing else.

    Raises:
        InputError: a module that cannot be taken over, code of its own, or a file that cannot be read.
    """
    listing = directory / "modules.json"
    if not listing.is_file():
        return Stack()
    folder, pooling, normalize = "", "mean", False
    for module in read_json(listing, list):
        if not isinstance(module, dict):
            raise InputError(f"{listing}: must hold a list of modules.")
        package, _, kind = str(module.get("type", "")).rpartition(".")
        path = str(module.get("path", ""))
        if package.partition(".")[0] not in ("sentence_transformers", ""):
            raise InputError(f"{listing}: wants code of its own to be run ({package}.{kind}), which is refused.")
        match kind:
            case "Transformer":
                folder = path
            case "Pooling":
                pooling = _pooling(directory / path / "config.json")
            case "Normalize":
                normalize = True
            case _:
                raise InputError(
                    f"{listing}: a module '{kind}' stands behind the encoder; Pooling and Normalize can be taken over."
                )
    _refuse_prompts(directory / "config_sentence_transformers.json")
    settings = directory / folder / "sentence_bert_config.json"
    table = read_json(settings, dict) if settings.is_file() else {}
    longest = table.get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise InputError(f"{settings}: max_seq_length must be a whole number of at least 1, got {longest!r}.")
    return Stack(folder, pooling, normalize, longest, lower_case=table.get("do_lower_case") is True)


def _refuse_prompts(path: Path) -> None:
    prompt = read_json(path, dict).get("default_prompt_name") if path.is_file() else None
    if prompt is not None:
        raise InputError(
            f"{path}: a prompt '{prompt}' goes before every text (default_prompt_name), which is not taken over."
        )


def read_in_lower_case(tokenizer: PreTrainedTokenizerFast) -> None:
    """Read texts in lower case, as sentence-transformers does before its tokenizer."""
    from tokenizers import normalizers

    core = tokenizer.backend_tokenizer
    before = [normalizers.Lowercase(), *([] if core.normalizer is None else [core.normalizer])]
    core.normalizer = normalizers.Sequence(before)


def _pooling(path: Path) -> str:
    table = read_json(path, dict)
    named = table.get("pooling_mode")
    if isinstance(named, str):
        names = {"mean": "mean", "cls": "first", "max": "max"}
        asked, chosen = [named], [names.get(named)]
    else:
        asked = [key for key, value in table.items() if key.startswith("pooling_mode_") and value]
        chosen = [_POOLINGS.get(key) for key in asked]
    if len(chosen) != 1 or chosen[0] is None:
        what = ", ".join(asked) or "none"
        raise InputError(f"{path}: one pooling of mean, cls and max can be taken over, not {what}.")
    return chosen[0]


def read_json(path: Path, kind: type) -> Any:
    """The list or the table that a JSON file holds."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if not isinstance(content, kind):
        raise InputError(f"{path}: must hold a JSON {'object' if kind is dict else 'list'}.")
    return content
