"""Every parameter of a run, in sections; each default is written here once, and nowhere else.

A value comes from, in rising order of precedence: the default, a TOML file, `--set section.key=value`, a flag.
The shape of the encoder and the mixer's own options keep their defaults on their own classes: `EncoderConfig` and
`MIXERS[name].Config`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from hypermixer.encoder_config import DEFAULT_MIXER, PRESETS, EncoderConfig
from hypermixer.options import option

if TYPE_CHECKING:
    from hypermixer.data.parts import Texts


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    text: str | None = option(None, "column of the text (or of the first text of a pair)")
    pair: str | None = option(None, "column of the second text of a pair")
    label: str | None = option(None, "column of the label")
    split: str | None = option(None, "split to train on")
    evaluation: str | None = option(None, "file or data set to evaluate on while training")
    limit: int | None = option(None, "train on this many rows, drawn at random with the seed", least=1)


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    tokenizer: str | None = option(None, "tokenizer directory or hub name; without it one is trained on the texts")
    vocab_size: int | None = option(None, "most entries of a trained tokenizer", least=16)
    max_length: int = option(512, "longest input in tokens; longer ones are cut", least=4)


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    preset: str | None = option(None, "named shape of the encoder", choices=tuple(PRESETS))
    pretrained: str | None = option(None, "encoder to start from: a directory that convert wrote, or a hub name")
    options: dict[str, Any] = field(default_factory=dict, metadata={"what": "fields of EncoderConfig"})

    @property
    def config(self) -> dict[str, Any]:
        """Keywords of `EncoderConfig`: those of the preset, then those that were set."""
        return (dict(PRESETS[self.preset].encoder) if self.preset else {}) | self.options


@dataclass(frozen=True, kw_only=True)
class MixerSettings:
    name: str = option(DEFAULT_MIXER, "token mixer")
    options: dict[str, Any] = field(default_factory=dict, metadata={"what": "options of the mixer"})


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    epochs: int = option(5, "most passes over the training rows", least=1)
    lr: float = option(5e-4, "peak learning rate", above=0)
    batch_size: int = option(64, "rows in a training step", least=1)
    batch_tokens: int | None = option(None, "tokens in a training step, padding included, in place of rows", least=1)
    warmup_fraction: float = option(0.06, "part of the steps in which the learning rate rises", least=0, below=1)
    weight_decay: float = option(0.01, "AdamW weight decay, on weight matrices only", least=0)
    clip: float = option(1.0, "largest norm of the gradient", above=0)
    patience: int = option(
        3, "evaluations without a better accuracy, or an equal one at lower loss, before training stops", least=1
    )
    evaluate_every: int = option(1000, "about how many steps between evaluations inside an epoch", least=1)
    pretrained_lr: float = option(0.2, "learning rate of a pretrained encoder, in parts of lr", least=0)
    layer_decay: float = option(
        1.0, "learning rate of each layer of a pretrained encoder, in parts of the next one's", above=0, most=1
    )


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    seed: int = option(0, "seed of everything random", least=0, below=2**32)
    device: str = option("auto", "where it runs: auto, cpu, cuda or cuda:N")
    precision: str = option("auto", "number format of training", choices=("auto", "fp32", "bf16"))
    threads: int | None = option(None, "processor threads", least=1)


@dataclass(frozen=True)
class Flag:
    """A parameter that has a name of its own on the command line and in Python.

    Attributes:
        section, key: where it belongs.
        what: its meaning, where no settings class says it.
        option: its name on the command line, where that is another one than in Python.
    """

    section: str
    key: str
    what: str = ""
    option: str | None = None


FLAGS: dict[str, Flag] = {
    "text": Flag("data", "text"),
    "pair": Flag("data", "pair"),
    "label": Flag("data", "label"),
    "split": Flag("data", "split"),
    "eval": Flag("data", "evaluation"),
    "limit": Flag("data", "limit"),
    "tokenizer": Flag("tokens", "tokenizer"),
    "max_length": Flag("tokens", "max_length"),
    "pretrained": Flag("encoder", "pretrained", option="--from"),
    "d_model": Flag("encoder", "hidden_size", "width of the model"),
    "layers": Flag("encoder", "num_hidden_layers", "number of blocks"),
    "layout": Flag("encoder", "layout", "where norms and skips stand in a block"),
    "mixer": Flag("mixer", "name"),
    "heads": Flag("mixer", "num_heads", "heads of the mixer"),
    "d_hidden": Flag("mixer", "d_hidden", "hidden width of the token-mixing MLP"),
    "epochs": Flag("training", "epochs"),
    "lr": Flag("training", "lr"),
    "batch_size": Flag("training", "batch_size"),
    "seed": Flag("runtime", "seed"),
    "device": Flag("runtime", "device"),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All sections of a run.

    Raises:
        InputError: on building, for an unknown section, key, preset, mixer or mixer option, and for a value of the
            wrong kind or out of range; the sentence names the option as it was given.
    """

    data: DataSettings = field(default_factory=DataSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    mixer: MixerSettings = field(default_factory=MixerSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)

    @classmethod
    def build(
        cls, config_file: Path | None = None, flags: Mapping[str, Any] | None = None, sets: Iterable[str] = ()
    ) -> "Settings":
        """Settings of a command line.

        Args:
            config_file: TOML with one table a section.
            flags: names of `FLAGS` to values; None means "not set".
            sets: `section.key=value` strings.
        """
        from hypermixer.settings_builder import from_command_line

        return from_command_line(config_file, flags or {}, sets)

    def replace(self, **options: Any) -> "Settings":
        """These settings with Python options set: names of `FLAGS`, or `section.key`; None means "not set"."""
        from hypermixer.settings_builder import from_options

        return from_options(self, options)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], source: str) -> "Settings":
        """Settings of a table as `as_dict` gives it; `source` names the table in messages."""
        from hypermixer.settings_builder import from_record

        return from_record(table, source)

    def texts(self, source: str, **more: Any) -> "Texts":
        """Which texts of `source` a run with these settings takes; `more`: fields of `Texts` that have no setting."""
        from hypermixer.data.example import Columns
        from hypermixer.data.parts import Texts

        data = self.data
        return Texts(
            source=source,
            split=data.split,
            columns=Columns(data.text, data.pair, data.label),
            evaluation=data.evaluation,
            limit=data.limit,
            seed=self.runtime.seed,
            **more,
        )

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Sections as plain tables."""
        return dataclasses.asdict(self)


SECTIONS: dict[str, type] = {name: hint for name, hint in get_type_hints(Settings).items() if isinstance(hint, type)}


def option_name(flag: str) -> str:
    """How a flag is written on the command line."""
    return FLAGS[flag].option or "--" + flag.replace("_", "-")


def describe(flag: str) -> str:
    """What a flag means and its default, for the help page; reads the class that owns the parameter."""
    section, key = FLAGS[flag].section, FLAGS[flag].key
    known = {f.name: f for f in fields(SECTIONS[section])}
    if key in known:
        what, default = known[key].metadata["what"], known[key].default
    else:
        what = FLAGS[flag].what
        default = {f.name: f.default for f in fields(EncoderConfig)}.get(key) if section == "encoder" else None
    return what[0].upper() + what[1:] + ("." if default is None else f" (default: {default}).")
