"""What `hypermixer compare` was asked for: the texts of its options as a comparison, checked before any work."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypermixer.encoder_config import LAYOUTS, EncoderConfig
from hypermixer.errors import InputError, nearest
from hypermixer.options import checked
from hypermixer.settings import Settings

if TYPE_CHECKING:
    from hypermixer.studies.compare import Comparison
    from hypermixer.studies.matching import Match

#: Settings that mean nothing where cells are shared out, and what does it instead.
_IDLE = {
    "mixer": "give the options of a mixer in --mixers NAME:option=value.",
    "runtime.threads": "--workers shares out the cores, and OMP_NUM_THREADS limits them.",
}
#: Options of each cost.
_OF_COST = {"fractions": "d", "trials": "h", "lengths": "e"}
#: What is read where an option is not given.
DEFAULTS = {"seeds": "3", "fractions": "10,25,50", "trials": "10", "lengths": "32,128,512,2048"}


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        comparison: all of it.
        matches: its mixers beside attention.
        notes: what a reader of its page would not expect.
        content: fingerprint of the data as it was given, before anything is held out or left out.
    """

    comparison: "Comparison"
    matches: "Sequence[Match]"
    notes: list[str]
    content: str


def common_settings(config: Path | None, flags: dict[str, Any], sets: Sequence[str]) -> Settings:
    """Settings that all mixers share.

    Raises:
        InputError: as `Settings.build`, or a setting that a comparison has no use for.
    """
    for text in sets:
        name = text.partition("=")[0].strip()
        if reason := _IDLE.get(name) or _IDLE.get(name.partition(".")[0]):
            raise InputError(f"--set {name}: has no use here; {reason}")
    common = Settings.build(config, flags, sets)
    plain = Settings()
    for name, differs in (
        ("mixer", common.mixer != plain.mixer),
        ("runtime.threads", common.runtime.threads is not None),
    ):
        if differs:
            raise InputError(f"--config {config}: {name} has no use here; {_IDLE[name]}")
    return common


def layout_of(text: str | None) -> str | None:
    """The layout that `--layout` names for all mixers; None where it names none, or `best`.

    Raises:
        InputError: an unknown name.
    """
    if text is not None and text not in (known := (*LAYOUTS, "best")):
        raise InputError(f"--layout {text}: {nearest(text, known)}")
    return None if text == "best" else text


def request(
    source: str, mixers: str, common: Settings, given: dict[str, str | None], *, best_layout: bool, match: bool
) -> Request:
    """The comparison.

    Args:
        source: the data.
        mixers: as given.
        common: from `common_settings`.
        given: texts of `seeds`, `lr`, `cost`, `fractions`, `trials`, `lengths`, `baselines`, `test`; None: not given.
        best_layout: whether each mixer takes the layout that suits it best.
        match: whether hidden widths are chosen so that sizes agree.

    Raises:
        InputError: whatever is wrong with it, by the name of the option.
    """
    from hypermixer.data.sources import load
    from hypermixer.studies.compare import COSTS, Comparison
    from hypermixer.studies.compare_data import seen_before
    from hypermixer.studies.grid import Grid
    from hypermixer.studies.matching import as_it_is, matched
    from hypermixer.studies.requested import common_length, names, require_whole, variants_of

    variants = variants_of(mixers, common)
    matches = [matched(v, common) if match else as_it_is(v, common, "--no-match was given") for v in variants]
    variants = tuple(each.variant for each in matches)
    length, least = common_length(common, variants)
    rates = _rates(given["lr"], common)
    costs = () if given["cost"] is None else names("--cost", given["cost"], COSTS)
    for option, cost in _OF_COST.items():
        if given[option] is not None and cost not in costs:
            raise InputError(f"--{option} {given[option]}: has no use without --cost {cost}.")
    own = EncoderConfig(**common.encoder.config).layout
    # The common one first: it is what a budget that allows for one only would try.
    layouts = (own, *(name for name in LAYOUTS if name != own)) if best_layout else ()
    text = DEFAULTS | {name: value for name, value in given.items() if value is not None}
    fractions, lengths = _percents("--fractions", text["fractions"]), _lengths("--lengths", text["lengths"])
    seeds, trials = (_count(f"--{name}", text[name]) for name in ("seeds", "trials"))
    first = common.runtime.seed
    texts = common.texts(source, test=given["test"])
    parts = require_whole(texts)
    common = common.replace(max_length=length)
    grid = Grid(rates, layouts, tuple(range(first, first + seeds)))
    baselines = _baselines(given["baselines"])
    comparison = Comparison(common, texts, variants, grid, baselines, costs, fractions, trials, lengths)
    content = load(source, split=texts.split, columns=texts.columns).fingerprint
    return Request(comparison, matches, [*_notes(rates, length, least), *seen_before(parts)], content)


@contextmanager
def placed(common: Settings, engine: str) -> Iterator[Settings]:
    """Settings whose device is the one that is seen inside, by this process and those that it begins.

    Raises:
        InputError: there is no such device, or the nodes of a cluster decide it.
    """
    from hypermixer.studies.engines import environment
    from hypermixer.training.precision import choose_device

    device = common.runtime.device
    if device != "auto" and engine == "ray":
        raise InputError(f"--device {device}: with --engine ray, each cell takes what its node has.")
    index = device.removeprefix("cuda:")
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    # What a cell runs on is no part of it, so cells take what there is: the choice is what they can see.
    if device == "cpu":
        visible = {"CUDA_VISIBLE_DEVICES": ""}
    elif index != device and index.isdigit() and (seen is None or int(index) < len(seen.split(","))):
        visible = {"CUDA_VISIBLE_DEVICES": index if seen is None else seen.split(",")[int(index)]}
    else:
        visible = {}
    with environment(visible):
        choose_device("cuda" if device.startswith("cuda:") and visible else device)
        yield common.replace(device="auto")


def _rates(text: str | None, common: Settings) -> tuple[float, ...]:
    if text is None:
        return (common.training.lr,)
    rates = tuple(checked(part.strip(), float, {"above": 0}, f"--lr {text}:") for part in text.split(","))
    if len(set(rates)) < len(rates):
        raise InputError(f"--lr {text}: a learning rate stands there twice.")
    return rates


def _baselines(text: str | None) -> tuple[str, ...]:
    from hypermixer.studies.baselines import BASELINES
    from hypermixer.studies.requested import names

    if text is None:
        return tuple(name for name, each in BASELINES.items() if each.missing() is None)
    asked = names("--baselines", text, tuple(BASELINES))
    for name in asked:
        if reason := BASELINES[name].missing():
            raise InputError(f"--baselines {name}: {reason}")
    return tuple(dict.fromkeys(("tfidf", *asked)))


def _count(option: str, text: str) -> int:
    return checked(text, int, {"least": 1}, option)


def _percents(option: str, text: str) -> tuple[float, ...]:
    return _numbers(option, text, float, {"above": 0, "most": 100})


def _lengths(option: str, text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _numbers(option, text, int, {"least": 1}))


def _numbers(option: str, text: str, kind: type, rule: dict[str, float]) -> tuple[float, ...]:
    return tuple(sorted({checked(part.strip(), kind, rule, f"{option} {text}:") for part in text.split(",")}))


def _notes(rates: Sequence[float], length: int, least: str | None) -> list[str]:
    notes = [f"All texts are cut at {length} tokens, the most that {least} takes."] if least else []
    if len(rates) == 1:
        notes.append(
            f"One learning rate, {rates[0]:g}, was tried; another may suit a mixer better: --lr takes several."
        )
    return notes
