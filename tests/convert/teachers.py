"""Tiny random teachers on disk, and made-up texts for them: nothing is downloaded."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PreTrainedTokenizerFast

from hypermixer.convert.teacher import Teacher, load_teacher
from hypermixer.data.tokens import SPECIALS, train_tokenizer
from hypermixer.training.environment import quiet_transformers

KINDS = ("bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta")
#: Of these, those whose positions begin behind the id of padding.
PADDED = ("camembert", "mpnet", "roberta", "xlm-roberta")
WORDS = [first + middle + last for first in "bdfgk" for middle in ("a", "er", "il", "os") for last in ("", "mu", "tan")]
WIDTH, LAYERS, HEADS, FEATURES, POSITIONS = 24, 3, 4, 40, 20


@cache
def texts(count: int = 300) -> tuple[str, ...]:
    """Different texts of 1 to 12 words."""
    draw, made = random.Random(0), {}
    while len(made) < count:
        made[" ".join(draw.choices(WORDS, k=draw.randrange(1, 13)))] = None
    return tuple(made)


@cache
def tokenizer(pad: int = 0) -> Any:
    """WordPiece with the padding at 0, or, as RoBERTa has it, at 1."""
    made = train_tokenizer(texts(), vocab_size=90)
    if not pad:
        return made
    table = json.loads(made.backend_tokenizer.to_str())
    table["model"]["vocab"] |= {"[PAD]": 1, "[UNK]": 0}
    table["added_tokens"] = [{**t, "id": {0: 1, 1: 0}.get(t["id"], t["id"])} for t in table["added_tokens"]]
    table["added_tokens"].sort(key=lambda token: token["id"])
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(table)), **SPECIALS)


def write_teacher(
    folder: Path,
    kind: str = "bert",
    *,
    head: bool = False,
    pooling: str | None = None,
    normalize: bool = False,
    max_length: int | None = None,
    **changes: Any,
) -> Path:
    """A teacher's directory.

    Args:
        folder: to write.
        kind: of `KINDS`.
        head: with a head for masked tokens.
        pooling: mean, cls or max, in a directory as sentence-transformers writes it; None: a plain directory.
        normalize: with a module that scales to length 1.
        max_length: that sentence-transformers cuts to.
        changes: of the configuration.
    """
    names = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    names |= {"intermediate_size": FEATURES, "max_position_embeddings": POSITIONS + 2 * (kind in PADDED)}
    if kind == "distilbert":
        spelled = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
        names = {(spelled | {"intermediate_size": "hidden_dim"}).get(k, k): v for k, v in names.items()}
    if kind == "electra":
        names["embedding_size"] = WIDTH
    read = tokenizer(int(kind in PADDED))
    shape = {"vocab_size": len(read), "pad_token_id": read.pad_token_id, "initializer_range": 0.2, **names, **changes}
    torch.manual_seed(len(kind))
    with quiet_transformers():
        model = (AutoModelForMaskedLM if head else AutoModel).from_config(AutoConfig.for_model(kind, **shape))
        scatter(model)
        model.save_pretrained(folder)
    read.save_pretrained(folder)
    if pooling is not None:
        modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
        write_modules(folder, modules)
        (folder / "1_Pooling").mkdir()
        modes = {
            f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens", "max_tokens")
        }
        write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **modes})
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    return folder


def scatter(model: nn.Module) -> None:
    """Biases and gains that are not 0 and 1, so that one that is left out or in another place shows."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)


def write_modules(folder: Path, kinds: list[str]) -> None:
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": f"{i}_{k}" if i else "", "type": f"sentence_transformers.models.{k}"}
            for i, k in enumerate(kinds)
        ],
    )


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **changes})


def load(folder: Path) -> Teacher:
    """The teacher; MPNet without what it adds to attention by distance, which no mixer of ours takes over."""
    teacher = load_teacher(str(folder))
    if teacher.model.config.model_type == "mpnet":
        with torch.no_grad():
            teacher.model.get_parameter("encoder.relative_attention_bias.weight").zero_()
    return teacher


def batch(teacher: Teacher, lengths: tuple[int, ...] = (13, 4, 20, 1), garbage: bool = False) -> tuple[Tensor, Tensor]:
    """Ids [B, N] and their mask; what is masked is padding, or garbage."""
    torch.manual_seed(3)
    longest = max(lengths)
    ids = torch.randint(5, len(teacher.tokenizer), (len(lengths), longest))
    keep = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    return (ids if garbage else ids.masked_fill(~keep, teacher.pad_id)), keep
