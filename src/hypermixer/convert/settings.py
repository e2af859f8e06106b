"""What a student is to be and how it is taught, free of torch; each default is written here once."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from hypermixer.encoder_config import DEFAULT_MIXER
from hypermixer.errors import InputError, nearest
from hypermixer.options import checked, option

STAGES = ("layerwise", "whole", "masked")


@dataclass(frozen=True)
class Shape:
    """What a student is to be; sizes that are None are its teacher's.

    Attributes:
        mixer: a name in `MIXERS`.
        options: of the mixer; those that follow from the teacher are filled in by `options_of`.
    """

    mixer: str = DEFAULT_MIXER
    options: dict[str, Any] = field(default_factory=dict)
    layers: int | None = option(None, "layers, fewer than the teacher's, evenly spread over them", least=1)
    d_model: int | None = option(None, "width, narrower than the teacher: its principal directions", least=1)
    d_features: int | None = option(None, "hidden units of the feature MLPs, fewer than the teacher's", least=1)

    @classmethod
    def read(cls, mixer: str, options: dict[str, Any], sizes: dict[str, tuple[Any, str]]) -> "Shape":
        """From sizes, each with the name under which a person gave it."""
        return cls(mixer, options, **_read(cls, sizes))


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """Parameters of a conversion beside the student's shape.

    Raises:
        InputError: by `read`, for an unknown name and a value of the wrong kind or out of range.
    """

    minutes: float = option(10.0, "about how long it takes, the teacher's part included", above=0)
    steps: int | None = option(None, "training steps in all, in place of a time", least=2)
    stages: str = option("layerwise,whole", "what is done, in this order: layerwise, whole, masked")
    max_length: int | None = option(None, "tokens of the pieces in which longer texts are learned, at most", least=8)
    layerwise_share: float = option(0.15, "part of the steps that the first of several stages takes", above=0, below=1)
    lr: float = option(5e-4, "peak learning rate", above=0)
    layerwise_lr: float = option(1e-3, "peak learning rate of the layerwise stage", above=0)
    embedding_lr: float = option(0.3, "learning rate of embeddings, in parts of the rest's", least=0)
    batch_tokens: int = option(4096, "tokens in a step, about", least=16)
    clip: float = option(1.0, "largest norm of the gradient", above=0)
    seed: int = option(0, "seed of everything random", least=0, below=2**32)
    device: str = option("auto", "where it runs: auto, cpu, cuda or cuda:N")
    precision: str = option("auto", "number format of training", choices=("auto", "fp32", "bf16"))
    vocabulary: str = option("all", "entries that are kept: all, or those that the texts use", choices=("all", "used"))

    @classmethod
    def read(cls, given: dict[str, tuple[Any, str]]) -> "Conversion":
        """From values, each with the name under which a person gave it."""
        made = cls(**_read(cls, given))
        if "steps" in given and "minutes" in given and made.steps is not None:
            raise InputError(f"{given['minutes'][1]} has no effect beside {given['steps'][1]}: leave one of them out.")
        stages = made.stage_names(given.get("stages", ("", "stages"))[1])
        for name, at_work in _AT_WORK.items():
            if name in given and not at_work(stages):
                raise InputError(f"{given[name][1]}: has no effect with the stages {made.stages}.")
        return made

    def stage_names(self, source: str = "stages") -> list[str]:
        """The stages, in their order.

        Raises:
            InputError: one is unknown or named twice, none is named, or their order is another.
        """
        names = [name.strip() for name in self.stages.split(",") if name.strip()]
        for name in names:
            if name not in STAGES:
                raise InputError(f"{source}: unknown stage '{name}': {nearest(name, STAGES)}")
        if not names or names != [name for name in STAGES if name in names]:
            raise InputError(f"{source}: name stages once and in this order: {', '.join(STAGES)}.")
        return names


#: Parameters that only some stages look at.
_AT_WORK: dict[str, Callable[[list[str]], bool]] = {
    "layerwise_share": lambda stages: stages[0] == "layerwise" and len(stages) > 1,
    "layerwise_lr": lambda stages: "layerwise" in stages,
    "lr": lambda stages: stages != ["layerwise"],
    "embedding_lr": lambda stages: stages != ["layerwise"],
}


def _read(kind: type, given: dict[str, tuple[Any, str]]) -> dict[str, Any]:
    """Values of a class's options, each read and checked by the name under which a person gave it."""
    known, hints, values = {f.name: f for f in fields(kind)}, get_type_hints(kind), {}
    for name, (value, source) in given.items():
        if name not in known:
            raise InputError(f"{source}: unknown key '{name}': {nearest(name, known)}")
        values[name] = checked(value, hints[name], known[name].metadata, source)
    return values


def describe(name: str) -> str:
    """What a parameter of `Conversion` or a size of `Shape` means and its default, for the help page."""
    one = next(f for kind in (Conversion, Shape) for f in fields(kind) if f.name == name)
    what, default = one.metadata["what"], one.default
    return what[0].upper() + what[1:] + ("." if default is None else f" (default: {default}).")


@dataclass(frozen=True)
class Request:
    """A whole request: what is made of which teacher, and how."""

    teacher: str
    shape: Shape
    conversion: Conversion

    def as_dict(self) -> dict[str, Any]:
        """For records, and to tell whether a run is taken up as it began."""
        shape, conversion = vars(self.shape), {**vars(self.conversion)}
        return {"teacher": self.teacher, "student": dict(shape), "conversion": conversion}
