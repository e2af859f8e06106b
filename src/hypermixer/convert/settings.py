"""What a student is to be and how it is taught, free of torch; each default is written here once."""

from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from hypermixer.encoder_config import DEFAULT_MIXER
from hypermixer.errors import InputError, nearest
from hypermixer.options import checked, option

STAGES = ("layerwise", "whole", "masked")


@dataclass(frozen=True)
class Shape:
    """What a student is to be; None: as its teacher.

    Attributes:
        mixer: a name in `MIXERS`.
        options: of the mixer; those that follow from the teacher are filled in by `options_of`.
        layers: how many, evenly spread over the teacher's.
        d_model: width.
        d_features: hidden width of the feature MLPs.
    """

    mixer: str = DEFAULT_MIXER
    options: dict[str, Any] = field(default_factory=dict)
    layers: int | None = None
    d_model: int | None = None
    d_features: int | None = None


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
    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    precision: str = option("auto", "number format of training", choices=("auto", "fp32", "bf16"))
    vocabulary: str = option("all", "entries that are kept: all, or those that the texts use", choices=("all", "used"))

    @classmethod
    def read(cls, given: dict[str, tuple[Any, str]]) -> "Conversion":
        """From values, each with the name under which a person gave it."""
        known, hints = {f.name: f for f in fields(cls)}, get_type_hints(cls)
        values = {}
        for name, (value, source) in given.items():
            if name not in known:
                raise InputError(f"{source}: unknown key '{name}': {nearest(name, known)}")
            values[name] = checked(value, hints[name], known[name].metadata, source)
        made = cls(**values)
        if "steps" in given and "minutes" in given and made.steps is not None:
            raise InputError(f"{given['minutes'][1]} has no effect beside {given['steps'][1]}: leave one of them out.")
        made.stage_names(given.get("stages", ("", "stages"))[1])
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


def describe(name: str) -> str:
    """What a parameter of `Conversion` means and its default, for the help page."""
    one = next(f for f in fields(Conversion) if f.name == name)
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
