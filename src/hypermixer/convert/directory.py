"""The directory of a converted encoder: a Hugging Face directory, which sentence-transformers reads as well."""

from pathlib import Path
from typing import Any

from hypermixer.convert.run import Converted
from hypermixer.hf import HyperMixerModel
from hypermixer.training import directory

#: Poolings, as sentence-transformers names them.
_POOLINGS = {"mean": "mean", "first": "cls", "max": "max"}


def write(path: Path, converted: Converted) -> None:
    """Write a model directory, whole or not at all."""
    directory.write(path, converted.model, converted.tokenizer, converted.record, sentence_files(converted.model))


def sentence_files(model: HyperMixerModel) -> dict[str, Any]:
    """JSON files, by their paths, with which sentence-transformers makes of the encoder what `encode` makes."""
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling")]
    if model.config.normalize_embeddings:
        modules.append(("2", "2_Normalize", "Normalize"))
    pooled = _POOLINGS[model.config.pooling]
    return {
        "modules.json": [
            {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for name, path, kind in modules
        ],
        "sentence_bert_config.json": {"max_seq_length": None, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": model.config.hidden_size,
            "pooling_mode_cls_token": pooled == "cls",
            "pooling_mode_mean_tokens": pooled == "mean",
            "pooling_mode_max_tokens": pooled == "max",
        },
    }
