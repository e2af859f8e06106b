"""Measurements as cells: of classifiers by length, and of one token-mixing layer."""

from typing import Any

from hypermixer.data.parts import Texts


def lengths(config: dict[str, Any], texts: Texts | None) -> dict[str, Any]:
    """Time, memory, operations and energy of classifiers by length; see `costs.measure.by_length`.

    `config["precision"]` is `auto`, as without it, `fp32` or `bf16`.
    """
    import torch

    from hypermixer.costs.contender import Contender
    from hypermixer.costs.measure import by_length
    from hypermixer.training.environment import environment, hold_memory
    from hypermixer.training.precision import choose_device, choose_precision

    device = choose_device("auto")
    precision = choose_precision(config.get("precision", "auto"), device)
    hold_memory()
    contenders = {name: Contender(**fields) for name, fields in config["contenders"].items()}
    rows = by_length(
        contenders,
        config["lengths"],
        batch_tokens=config["batch_tokens"],
        vocab_size=config["vocab_size"],
        num_labels=config["num_labels"],
        device=device,
        bf16=precision.bf16,
        seconds=config["seconds"],
    )
    return {"rows": rows, "environment": environment(torch.device(device), precision)}


def layer(config: dict[str, Any], texts: Texts | None) -> dict[str, Any]:
    """Seconds for 1,000 inputs through one layer by length; see `costs.layer_times.layer_times`."""
    from hypermixer.costs.layer_times import layer_times
    from hypermixer.training.environment import environment
    from hypermixer.training.precision import choose_device, choose_precision

    device = choose_device("auto")
    rows = layer_times(config["lengths"], repetitions=config["repetitions"], device=device)
    return {"rows": rows, "environment": environment(device, choose_precision("fp32", device))}


def counts(config: dict[str, Any], texts: Texts) -> dict[str, Any]:
    """How many examples each part of a data set has."""
    from hypermixer.data.parts import parts_of

    parts = parts_of(texts)
    named = {"train": parts.train, "evaluation": parts.evaluation, "test": parts.test}
    return {"examples": {name: len(data) for name, data in named.items() if data is not None}}
