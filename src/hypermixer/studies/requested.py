"""What a comparison was asked for in words: mixers with their options, names, texts; checked before any work."""

import re
from collections.abc import Sequence
from typing import Any

from hypermixer.data.labels import Labels
from hypermixer.data.parts import Parts, Texts, parts_of
from hypermixer.encoder_config import EncoderConfig
from hypermixer.errors import InputError, nearest
from hypermixer.mixers import MIXERS, longest_sequence, mixer_config
from hypermixer.settings import Settings
from hypermixer.studies.grid import Variant
from hypermixer.training.pairs import is_paired, require_kind


def variants_of(text: str, common: Settings) -> tuple[Variant, ...]:
    """`NAME[:option=value...],...` as variants, each checked.

    Raises:
        InputError: no mixers, one named twice, an unknown name or option; names it as it was given.
    """
    found: dict[Any, Variant] = {}
    for spec in (part.strip() for part in text.split(",")):
        variant = _variant(spec)
        try:
            settings = variant.settings(common)
        except InputError as error:
            raise _blamed(error, spec, variant.mixer) from error
        width = EncoderConfig(**settings.encoder.config).hidden_size
        what = variant.mixer, mixer_config(variant.mixer, settings.mixer.options, d_model=width)
        if what in found:
            same = "is named twice" if found[what].name == spec else f"and '{found[what].name}' are the same mixer"
            raise InputError(f"--mixers: '{spec}' {same}.")
        found[what] = variant
    return tuple(found.values())


def _variant(spec: str) -> Variant:
    name, *options = spec.split(":")
    if not name:
        raise InputError(f"--mixers '{spec}': a name is missing; known: {', '.join(MIXERS)}")
    if name not in MIXERS:
        raise InputError(f"--mixers {spec}: unknown mixer '{name}': {nearest(name, MIXERS)}")
    pairs = [option.partition("=") for option in options]
    if not all(equals and key.strip() for key, equals, _ in pairs):
        raise InputError(f"--mixers {spec}: must have the form NAME or NAME:option=value.")
    keys = [key.strip() for key, _, _ in pairs]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise InputError(f"--mixers {spec}: '{min(twice)}' is given twice.")
    values = (value.strip() for _, _, value in pairs)
    return Variant(spec, name, tuple((f"mixer.{key}", value) for key, value in zip(keys, values, strict=True)))


def _blamed(error: InputError, spec: str, mixer: str) -> InputError:
    """What is wrong with a variant, by the names that a comparison has for its options."""
    sentence = str(error)
    if sentence.startswith("max_length: "):
        return InputError(f"--max-length: {sentence.removeprefix('max_length: ')}")
    sentence = re.sub(r"^mixer(\.\w+)?: |^mixer\.", "", sentence)
    if "d_model=" in sentence:
        sentence = re.sub(r" Set by .*$", f" {mixer}:OPTION=N and --d-model set them.", sentence)
    return InputError(f"--mixers {spec}: {sentence}")


def require_whole(texts: Texts) -> Parts:
    """The parts of the texts, once what no run could take has been looked for.

    Raises:
        InputError: texts that cannot be read, one class only, a label that training lacks, pairs among single texts.
    """
    parts = parts_of(texts)
    labels, paired = Labels.fit(parts.train.examples, source=parts.train.name), is_paired(parts.train)
    for data in (parts.evaluation, *([parts.test] if parts.test is not None else [])):
        require_kind(data, paired, "the training rows are")
        for example in data.examples:
            labels.index(example.label, example.origin)
    return parts


def common_length(common: Settings, variants: Sequence[Variant]) -> tuple[int, str | None]:
    """Tokens that the texts are cut to for all mixers alike, and which mixer takes no more, if any."""
    length, least = common.tokens.max_length, None
    for variant in variants:
        settings = variant.settings(common)
        width = EncoderConfig(**settings.encoder.config).hidden_size
        longest = longest_sequence(settings.mixer.name, settings.mixer.options, d_model=width)
        if longest is not None and longest < length:
            length, least = longest, variant.name
    return length, least


def names(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Names with commas between them.

    Raises:
        InputError: an unknown name, or one twice; says the nearest.
    """
    found = [part.strip() for part in text.split(",")]
    for name in found:
        if name not in known:
            raise InputError(f"{option} {name or repr(text)}: {nearest(name, known)}")
    if len(set(found)) < len(found):
        raise InputError(f"{option} {text}: a name stands there twice.")
    return tuple(found)
