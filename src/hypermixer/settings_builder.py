"""Settings from what a person gave: a TOML file, `--set` strings, flags, Python options; refused by the name given."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from hypermixer.encoder_config import ENCODER_FIELDS, FROM_TOKENIZER, EncoderConfig
from hypermixer.errors import InputError, nearest
from hypermixer.options import checked, typed
from hypermixer.settings import FLAGS, SECTIONS, MixerSettings, Settings, TokenSettings, option_name

#: What may be set beside a pretrained encoder, of the sections that it brings.
_BESIDE_PRETRAINED = {
    "tokens": ("max_length",),
    "encoder": ("pretrained", "hidden_dropout_prob"),
    "mixer": (),
}

#: What a mixer's width may be wrong for, the likeliest culprit first.
_BLAME = ("num_heads", "d_hidden", "hidden_size", "preset")


def from_command_line(config_file: Path | None, flags: Mapping[str, Any], sets: Iterable[str]) -> Settings:
    """See `Settings.build`."""
    values = _Values()
    if config_file is not None:
        for section, key, value in _read_toml(config_file):
            values.put(section, key, value, f"{config_file}: {section}.{key}")
    for section, key, value, source in read_sets(sets, SECTIONS):
        values.put(section, key, value, source)
    for name, value in flags.items():
        if value is not None:
            values.put(FLAGS[name].section, FLAGS[name].key, value, option_name(name))
    return values.settings()


def read_sets(sets: Iterable[str], sections: Collection[str]) -> Iterator[tuple[str, str, str, str]]:
    """Section, key, value and name of each `--set section.key=value`.

    Raises:
        InputError: one has another form, or names another section.
    """
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: must have the form section.key=value; sections: {', '.join(sections)}.")
        name = name.strip()
        yield *_section_and_key(name, f"--set {name}", sections), value.strip(), f"--set {name}"


def from_options(start: Settings, options: Mapping[str, Any]) -> Settings:
    """See `Settings.replace`."""
    values = _Values(start)
    for name, value in options.items():
        if value is None:
            continue
        if "." in name:
            section, key = _section_and_key(name, name)
        elif name in FLAGS and FLAGS[name].section != "data":
            section, key = FLAGS[name].section, FLAGS[name].key
        else:
            known = [n for n, flag in FLAGS.items() if flag.section != "data"]
            raise InputError(f"Unknown option '{name}': {nearest(name, known)}")
        values.put(section, key, value, name)
    return values.settings()


def from_record(table: Mapping[str, Any], source: str) -> Settings:
    """See `Settings.from_dict`."""
    values = _Values()
    for section, content in table.items():
        _check_section(section, f"{source}.{section}")
        if not isinstance(content, dict):
            raise InputError(f"{source}.{section} must be an object, got {content!r}.")
        options = content.get("options", {})
        if not isinstance(options, dict):
            raise InputError(f"{source}.{section}.options must be an object, got {options!r}.")
        for key, value in ({k: v for k, v in content.items() if k != "options"} | options).items():
            values.put(section, key, value, f"{source}.{section}.{key}")
    return values.settings(recorded=True)


class _Values:
    """Values by section and key, with the name under which a person gave each."""

    def __init__(self, start: Settings | None = None):
        self.start = start or Settings()
        self.given: dict[str, dict[str, tuple[Any, str]]] = {section: {} for section in SECTIONS}

    def put(self, section: str, key: str, value: Any, source: str) -> None:
        _check_section(section, source)
        named = [f.name for f in fields(SECTIONS[section]) if f.name != "options"]
        if section == "encoder" and key in FROM_TOKENIZER:
            raise InputError(f"{source}: {key} follows from the tokenizer (tokens.vocab_size sets its size).")
        known = named + [n for n in ENCODER_FIELDS if n not in FROM_TOKENIZER] if section == "encoder" else named
        if section != "mixer" and key not in known:
            raise InputError(f"{source}: unknown key '{key}' in section '{section}': {nearest(key, known)}")
        self.given[section][key] = (value, source)

    def settings(self, *, recorded: bool = False) -> Settings:
        sections, before = {}, self._without_another_encoders()
        for section, kind in SECTIONS.items():
            start = getattr(before, section)
            named = {f.name: f for f in fields(kind)}
            hints = get_type_hints(kind)
            own = {k: v for k, v in self.given[section].items() if k in named}
            rest = {k: v for k, v in self.given[section].items() if k not in named}
            values = {k: checked(value, hints[k], named[k].metadata, source) for k, (value, source) in own.items()}
            if section == "encoder" and rest:
                values["options"] = start.options | _encoder_options(rest)
            if section == "mixer":
                values["options"] = _mixer_options(start, values.get("name"), own, rest)
            sections[section] = dataclasses.replace(start, **values)
        settings = Settings(**sections)
        self._check_widths(settings)
        if not recorded:  # a record also holds what followed from what was asked for
            self._check_effect(settings)
            self._check_length(settings)
        return settings

    def _without_another_encoders(self) -> Settings:
        """The start; where another pretrained encoder is named now, without the shape and mixer that the last one
        brought."""
        start = self.start
        if start.encoder.pretrained is None or "pretrained" not in self.given["encoder"]:
            return start
        options = {k: v for k, v in start.encoder.options.items() if k in _BESIDE_PRETRAINED["encoder"]}
        return dataclasses.replace(
            start, mixer=MixerSettings(), encoder=dataclasses.replace(start.encoder, options=options)
        )

    def _check_length(self, settings: Settings) -> None:
        """Whether a length that somebody asked for fits the mixer."""
        given, asked = self.given["tokens"].get("max_length"), settings.tokens.max_length
        if given is None and (asked == TokenSettings.max_length or not self.given["mixer"]):
            return
        from hypermixer.mixers import longest_sequence

        width = EncoderConfig(**settings.encoder.config).hidden_size
        longest = longest_sequence(settings.mixer.name, settings.mixer.options, d_model=width)
        if longest is not None and asked > longest:
            source = "max_length" if given is None else given[1]
            raise InputError(
                f"{source}: {asked} is more than the {longest} tokens that mixer '{settings.mixer.name}' takes"
                f" (hypermixer mixers {settings.mixer.name} shows which option sets them)."
            )

    def _check_effect(self, settings: Settings) -> None:
        """Whether an option that was set is idle beside another."""
        tokens, encoder = settings.tokens, settings.encoder
        if tokens.tokenizer is not None and tokens.vocab_size is not None:
            self._refuse_idle("tokens", "vocab_size", "tokenizer")
        if encoder.pretrained is None:
            for key in ("pretrained_lr", "layer_decay"):
                if key in self.given["training"]:
                    source = self.given["training"][key][1]
                    raise InputError(f"{source}: has no effect without a pretrained encoder (--from).")
        else:
            self._check_beside_pretrained()
        if encoder.config.get("feature_mixing") is False and "intermediate_size" in encoder.options:
            cause = "feature_mixing" if "feature_mixing" in encoder.options else "preset"
            self._refuse_idle("encoder", "intermediate_size", cause)

    def _check_beside_pretrained(self) -> None:
        """Whether something is set, now or before, that a pretrained encoder brings."""
        for section, free in _BESIDE_PRETRAINED.items():
            for key in self.given[section]:
                if key not in free:
                    source = self.given[section][key][1]
                    raise InputError(f"{source}: a pretrained encoder brings its own {section}: leave it out.")
            if self.start.encoder.pretrained is not None:
                continue  # what is there came with it
            start, default = getattr(self.start, section), getattr(Settings(), section)
            keys = [f.name for f in fields(start) if getattr(start, f.name) != getattr(default, f.name)]
            for key in (name for k in keys for name in (start.options if k == "options" else (k,))):
                if key not in free:
                    source = self.given["encoder"]["pretrained"][1]
                    raise InputError(
                        f"{source}: a pretrained encoder brings its own {section}: leave {section}.{key} out."
                    )

    def _refuse_idle(self, section: str, idle: str, cause: str) -> None:
        given = self.given[section]
        _, source = given.get(idle) or given.get(cause) or (None, f"{section}.{idle}")
        raise InputError(f"{source}: {section}.{idle} has no effect beside {section}.{cause}: leave one of them out.")

    def _check_widths(self, settings: Settings) -> None:
        """Whether the mixer takes its options at the encoder's width, named after what was given."""
        given = self.given["mixer"] | {k: v for k, v in self.given["encoder"].items() if k in ("hidden_size", "preset")}
        if not given:
            return
        from hypermixer.mixers import mixer_config

        name, options = settings.mixer.name, settings.mixer.options
        width = EncoderConfig(**settings.encoder.config).hidden_size
        # A number is to blame rather than a name.
        first = min(given, key=lambda key: _BLAME.index(key) if key in _BLAME else len(_BLAME))
        # Each option on its own first, so that the one that is wrong is blamed; then all together.
        trials = [({key: options[key]}, given[key][1]) for key in given if key in options]
        for trial, source in [*trials, (options, given[first][1])]:
            try:
                mixer_config(name, trial, d_model=width)
            except InputError as error:
                raise InputError(f"{source}: {error}{_flags_in(str(error), source)}") from error


def _flags_in(sentence: str, source: str) -> str:
    """A further sentence: the other flags that set the numbers of `sentence`, written `name=number` there."""
    flags = {name: f for name, f in FLAGS.items() if f.section in ("encoder", "mixer")}
    found = [name for name, f in flags.items() if re.search(rf"\b({name}|{f.key})=", sentence)]
    named = ["--" + name.replace("_", "-") if source.startswith("--") else name for name in found]
    return f" Set by {' and '.join(named)}." if len(named) > 1 else ""


def _check_section(section: str, source: str, sections: Collection[str] = SECTIONS) -> None:
    if section not in sections:
        raise InputError(f"{source}: unknown section '{section}': {nearest(section, sections)}")


def _section_and_key(name: str, source: str, sections: Collection[str] = SECTIONS) -> tuple[str, str]:
    section, dot, key = name.partition(".")
    if not dot or not key:
        raise InputError(f"{source}: must name section.key; sections are {', '.join(sections)}.")
    _check_section(section, source, sections)
    return section, key


def _read_toml(path: Path) -> Iterable[tuple[str, str, Any]]:
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--config {path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--config {path}: not UTF-8 at byte {error.start}.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"--config {path}: {error}.") from error
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{path}: '{section}' must be a table [{section}]; sections are {', '.join(SECTIONS)}.")
        _check_section(section, str(path))
        for key, value in table.items():
            yield section, key, value


def _encoder_options(given: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    hints = get_type_hints(EncoderConfig)
    options = {key: typed(value, hints[key], source) for key, (value, source) in given.items()}
    for key, (_, source) in given.items():
        try:
            EncoderConfig(**{key: options[key]})
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
    return options


def _mixer_options(
    start: MixerSettings, name: Any, own: Mapping[str, tuple[Any, str]], given: Mapping[str, tuple[Any, str]]
) -> dict[str, Any]:
    """Options of the chosen mixer, checked against its Config; those of the start belong to its own mixer only."""
    if not given and not own:
        return start.options
    chosen = start.name if name is None else name
    read = mixer_options(chosen, own["name"][1] if "name" in own else "mixer.name", given)
    return (start.options if chosen == start.name else {}) | read


def mixer_options(mixer: str, source: str, given: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    """Options of a mixer, each read and checked by itself; whether they fit a width is another question.

    Args:
        mixer: its name.
        source: under which the mixer was named.
        given: values by option, each with the name under which a person gave it.

    Raises:
        InputError: an unknown mixer or option, or a value of the wrong kind or out of range.
    """
    # torch is loaded with the mixers: only where a mixer was asked for, so that help pages stay fast.
    from hypermixer.mixers import MIXERS

    if mixer not in MIXERS:
        raise InputError(f"{source}: unknown mixer '{mixer}': {nearest(mixer, MIXERS)}")
    config = MIXERS[mixer].Config
    hints, known = get_type_hints(config), [f.name for f in fields(config)]
    options: dict[str, Any] = {}
    for key, (value, named) in given.items():
        if key not in known:
            hint = nearest(key, known) or "it has none"
            raise InputError(f"{named}: mixer '{mixer}' has no option '{key}': {hint}")
        options[key] = typed(value, hints[key], named)
        try:
            config(**{key: options[key]})
        except InputError as error:
            raise InputError(f"{named}: {error}") from error
    return options
