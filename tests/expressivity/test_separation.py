"""Separation ranks: between their bounds whatever the network, and told as lower bounds where templates run out."""

import json
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypermixer.errors import InputError, WorkError
from hypermixer.expressivity import separation
from hypermixer.expressivity.bounds import Bound, Bounds, bounds
from hypermixer.expressivity.field import PRIME, SECOND_PRIME, Elements, Field
from hypermixer.expressivity.grid import inputs_at_once
from hypermixer.expressivity.separation import MARGIN, check_bound, memory, require_memory, separation_rank
from hypermixer.expressivity.spec import KINDS, PERMUTATIONS, POSITIONS, READOUTS, PolyMixerSpec, spec_of


def rank_of(kind: str, **fields: Any) -> int:
    return separation_rank(spec_of(kind, **fields)).rank


# --- Of any network ---------------------------------------------------------------------------------------------------


@st.composite
def specs(draw: st.DrawFn) -> PolyMixerSpec:
    kind = draw(st.sampled_from((*KINDS, "attention", "hypermixing")))
    first, second = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    tokens = draw(st.permutations(range(first + second)))
    heads = draw(st.integers(1, 2)) if kind in ("attention", "hypermixing") else 1
    fields: dict[str, Any] = {
        "depth": draw(st.integers(1, 3)),
        "width": 2 if heads == 2 else draw(st.integers(1, 3)),
        "heads": heads,
        "tokens": first + second,
        "partition": (tuple(tokens[:first]), tuple(tokens[first:])),
        "residual": draw(st.booleans()),
        "channel_degree": draw(st.sampled_from((1, 1, 2))),
        "permutation": draw(st.sampled_from(PERMUTATIONS)),
        "readout": draw(st.sampled_from(READOUTS)),
        "positions": draw(st.sampled_from([name for name in POSITIONS if name != "hypernet" or kind == "hypermixing"])),
    }
    if kind in ("static", "hypermixing"):
        fields["act_degree"] = draw(st.integers(1, 3))
        fields["token_hidden"] = draw(st.one_of(st.none(), st.integers(1, 4).map(lambda rows: rows * heads)))
    if kind == "hypermixing":
        fields |= {"tied": draw(st.booleans()), "hypernet_degree": draw(st.sampled_from((1, 1, 2)))}
    return spec_of(kind, **fields)


@settings(max_examples=800, derandomize=True, deadline=None, database=None)
@given(spec=specs(), seed=st.integers(0, 3))
def test_ranks_lie_between_their_bounds(spec: PolyMixerSpec, seed: int) -> None:
    """A rank above the upper bound would raise; where that is large, a few templates must do."""
    known = bounds(spec)
    count = None if known.upper.value <= 150 else 60
    found = separation_rank(spec, seed=seed, count=count, method="whole")
    assert found.rank <= known.upper.value
    assert found.rank >= known.lower.value or (found.saturated and found.rank == count)
    assert found.bounds == known and not (found.saturated and count is None)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(spec=specs(), seed=st.integers(0, 3))
def test_blocks_find_the_rank_of_the_whole(spec: PolyMixerSpec, seed: int) -> None:
    spec = replace(spec, residual=False, positions="none", depth=min(spec.depth, 2))
    if bounds(spec).upper.value <= 150:
        whole, blocks = (separation_rank(spec, seed=seed, method=method) for method in ("whole", "blocks"))
        assert whole.rank == blocks.rank == sum(block.rank for block in blocks.blocks)


@pytest.mark.parametrize("kind, k", [("attention", 2), ("hypermixing", 1), ("hypermixing", 2)])
@pytest.mark.parametrize("partition", [((0, 1), (2, 3)), ((0,), (1, 2, 3))])
def test_tokens_in_another_order_have_a_rank_by_any_method(kind: str, k: int, partition: Any) -> None:
    """It depends on the permutation only by the side from which the token comes that is read."""
    fields: dict[str, Any] = {"act_degree": k, "partition": partition}
    plain = {rank_of(kind, readout=readout, **fields) for readout in ("first", "second")}
    for seed in range(3):
        spec = spec_of(kind, permutation="tokens", **fields)
        found = separation_rank(spec, seed=seed, count=220, method="whole")
        assert found.rank in plain and not found.saturated
        if found.upper < 200:
            assert separation_rank(spec, seed=seed, method="blocks").rank == found.rank


# --- Ranks that follow from others ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_positions_on_the_input_change_nothing(kind: str) -> None:
    for fields in ({}, {"residual": True}, {"channel_degree": 2, "depth": 1}, {"readout": "mean"}):
        plain: dict[str, Any] = {"act_degree": 1} if kind == "hypermixing" else {}
        assert rank_of(kind, positions="input", **plain, **fields) == rank_of(kind, **plain, **fields)


@pytest.mark.parametrize("fields", [{}, {"width": 3, "tokens": 6}, {"depth": 3}, {"readout": "mean"}, {"depth": 1}])
def test_hypermixing_without_activation_has_the_rank_of_attention(fields: dict[str, Any]) -> None:
    assert rank_of("hypermixing", act_degree=1, **fields) == rank_of("attention", **fields)


@pytest.mark.parametrize(
    "fields", [{}, {"residual": True}, {"depth": 3}, {"readout": "mean"}, {"permutation": "shift"}]
)
def test_what_is_linear_has_rank_two(fields: dict[str, Any]) -> None:
    assert rank_of("linear", **fields) == rank_of("static", act_degree=1, **fields) == 2


@pytest.mark.parametrize("hidden", [1, 2, 8])
@pytest.mark.parametrize("residual", [False, True])
def test_no_permutation_lifts_a_static_mixer_above_its_bound(residual: bool, hidden: int) -> None:
    fields: dict[str, Any] = {"token_hidden": hidden, "residual": residual}
    upper = bounds(spec_of("static", **fields)).upper.value
    for permutation in PERMUTATIONS:
        for seed in range(3):
            assert separation_rank(spec_of("static", permutation=permutation, **fields), seed=seed).rank <= upper


def test_all_seeds_find_the_same_rank() -> None:
    for kind, rank in (("attention", 18), ("static", 20), ("gmlp", 14)):
        assert {separation_rank(spec_of(kind), seed=seed).rank for seed in range(6)} == {rank}


# --- Templates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["whole", "blocks"])
def test_a_rank_that_is_cut_off_is_a_lower_bound(method: str) -> None:
    found = separation_rank(spec_of("attention", depth=3), count=5, method=method)
    assert found.saturated and found.templates == 5 and found.rank < 232 == found.upper
    assert found.told == f">= {found.rank}"
    assert found.rank == 5 if method == "whole" else found.rank > 5


def test_a_rank_that_reaches_its_bound_is_not_cut_off() -> None:
    spec = spec_of("attention")
    found = [separation_rank(spec, count=count, method="whole") for count in (17, 18, 19)]
    assert [one.told for one in found] == [">= 17", "18", "18"]
    assert [one.saturated for one in found] == [True, False, False]


def test_a_rank_that_all_templates_have_below_the_bound_is_cut_off() -> None:
    spec = spec_of("gmlp", depth=3)  # 90 of at most 105
    found = [separation_rank(spec, count=count, method="whole") for count in (89, 90, 91)]
    assert [one.told for one in found] == [">= 89", ">= 90", "90"]


@pytest.mark.parametrize("method", ["whole", "blocks"])
def test_without_a_count_there_are_a_few_more_than_the_bound(method: str) -> None:
    found = separation_rank(spec_of("attention"), method=method)
    assert found.method == method and not found.saturated and found.rank == 18
    bound = found.upper if method == "whole" else max(block.upper for block in found.blocks)
    assert found.templates == bound + MARGIN


def test_large_numbers_are_told_with_commas() -> None:
    found = separation_rank(spec_of("linear"))
    assert replace(found, rank=15691).told == "15,691" and replace(found, rank=8192, saturated=True).told == ">= 8,192"


@pytest.mark.parametrize("count", [0, -3])
def test_fewer_than_one_template_are_refused(count: int) -> None:
    with pytest.raises(InputError, match=f"at least 1, got {count}"):
        separation_rank(spec_of("linear"), count=count)


@pytest.mark.parametrize(
    "name, value, words",
    [
        *(("count", value, "templates must be a whole number") for value in (True, 5.0, "5", [5])),
        *(("seed", value, "seed must be a whole number") for value in (False, 1.0, "1", None)),
        ("seed", -1, "seed must be at least 0, got -1"),
    ],
)
def test_counts_and_seeds_are_whole_numbers(name: str, value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        separation_rank(spec_of("linear"), **{name: value})


@pytest.mark.parametrize("method", ["whole", "blocks"])
def test_integers_of_any_type_will_do_and_become_plain_ones(method: str) -> None:
    given: Any = {"count": np.int64(9), "seed": np.uint8(3), "prime": np.int32(65537)}
    spec = spec_of("attention", partition=np.array([[0, 3], [1, 2]]))
    found = separation_rank(spec, method=method, **given)
    plain = separation_rank(spec, count=9, seed=3, prime=65537, method=method)
    assert replace(found, seconds=0.0) == replace(plain, seconds=0.0)
    again = json.loads(json.dumps(found.as_dict()))
    assert (again["templates"], again["seed"], again["prime"]) == (9, 3, 65537)


# --- Methods and primes ---------------------------------------------------------------------------------------------


def test_the_quicker_method_is_chosen() -> None:
    found = [separation_rank(spec_of("hypermixing", depth=depth)) for depth in (1, 2)]
    assert [one.method for one in found] == ["whole", "blocks"] and [one.rank for one in found] == [6, 190]
    assert found[0].blocks == () and sum(block.rank for block in found[1].blocks) == 190
    assert separation_rank(spec_of("hypermixing", residual=True)).method == "whole"


@pytest.mark.parametrize("fields", [{"residual": True}, {"positions": "input"}])
def test_blocks_need_one_degree(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="blocks"):
        separation_rank(spec_of("attention", **fields), method="blocks")


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(InputError, match=r"'block'.*'blocks'"):
        separation_rank(spec_of("attention"), method="block")


@pytest.mark.parametrize("method", ["whole", "blocks"])
@pytest.mark.parametrize("prime", [PRIME, SECOND_PRIME, 65537])
def test_two_primes_agree(prime: int, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def noted(p: int) -> Field:
        used.append(p)
        return Field(p)

    monkeypatch.setattr(separation, "Field", noted)
    found = separation_rank(spec_of("attention"), prime=prime, second_prime=True, method=method)
    assert found.rank == found.second == 18 and found.prime == prime
    assert list(dict.fromkeys(used)) == [prime, PRIME if prime == SECOND_PRIME else SECOND_PRIME]
    assert separation_rank(spec_of("attention"), prime=prime).second is None


def test_the_larger_rank_of_two_primes_counts() -> None:
    spec = spec_of("attention")
    alone, both = (separation_rank(spec, prime=3, second_prime=second, method="whole") for second in (False, True))
    assert alone.rank < 18 and both.rank == both.second == 18
    assert (alone.prime, alone.second, both.prime) == (3, None, SECOND_PRIME)


def test_the_rank_of_the_second_prime_may_be_the_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("attention")
    alone = separation_rank(spec, prime=3, method="whole")
    monkeypatch.setattr(separation, "SECOND_PRIME", 3)
    both = separation_rank(spec, second_prime=True, method="whole")
    assert both.second == alone.rank < both.rank == 18 and both.prime == PRIME


def test_a_prime_that_is_too_small_is_told() -> None:
    """Where the rank is below what is proved, unless templates ran out."""
    spec = spec_of("attention")
    found = separation_rank(spec, prime=2)
    assert found.rank == 0 < found.lower == 5 and not found.saturated
    assert found.too_small and found.told == ">= 0" and found.doubt == 1
    assert replace(found, rank=4).too_small and replace(found, rank=4).told == ">= 4"
    assert not replace(found, rank=5).too_small and replace(found, rank=5).told == "5"
    helped = separation_rank(spec, prime=2, second_prime=True)
    assert (helped.rank, helped.told, helped.too_small, helped.prime) == (18, "18", False, SECOND_PRIME)
    few = separation_rank(spec, count=3)
    assert few.rank == 3 < few.lower and few.saturated and not few.too_small and few.told == ">= 3"


@pytest.mark.parametrize("prime", [2, 3, 5, 7, 31])
def test_small_primes_never_give_more_and_come_to_an_end(prime: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are fewer points than degrees to interpolate, it may be refused, but not tried forever."""
    draws = iter(range(200))
    uniform = Field.uniform

    def counted(self: Field, generator: np.random.Generator, *shape: int) -> Elements:
        assert next(draws, None) is not None, "random elements are drawn again and again"
        return uniform(self, generator, *shape)

    monkeypatch.setattr(Field, "uniform", counted)
    for spec, rank in ((spec_of("hypermixing"), 190), (spec_of("attention"), 18)):
        for method in ("whole", "blocks", "auto"):
            with suppress(InputError):
                assert separation_rank(spec, prime=prime, method=method).rank <= rank


@pytest.mark.parametrize("prime", [4, 2**31, 1, True, 7.0, "7"])
def test_moduli_that_are_no_primes_are_refused(prime: Any) -> None:
    with pytest.raises(InputError, match="prime"):
        separation_rank(spec_of("linear"), prime=prime)


def test_doubt_is_a_probability() -> None:
    """None where the bound is reached; else that of a minor as large as the bound, in input and weights."""
    assert separation_rank(spec_of("attention")).doubt == 0
    found = separation_rank(spec_of("gmlp", depth=3))  # of degree 8, with 4, 12 and 28 weights
    assert found.rank == 90 and found.doubt == 105 * 36 / PRIME
    assert separation_rank(spec_of("attention"), prime=3, method="whole").doubt == 1


# --- Memory, and what is told on the way ----------------------------------------------------------------------------


def test_too_much_memory_is_refused_unless_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("attention")
    monkeypatch.setattr(separation, "MEMORY", memory(3, 5, spec) + 5000)
    for method in ("whole", "blocks"):
        with pytest.raises(InputError, match=r"GiB.*--force"):
            separation_rank(spec, method=method)
        assert separation_rank(spec, method=method, force=True).rank == 18
        assert separation_rank(spec, method=method, count=3).rank >= 3


def test_what_would_not_fit_is_refused_before_it_starts() -> None:
    spec = spec_of("attention", depth=4)
    assert memory(100_000, 1, spec) > separation.MEMORY
    with pytest.raises(InputError, match="GiB"):
        separation_rank(spec, count=100_000)
    assert memory(200, 1, spec) <= memory(200, 2, spec) < memory(201, 2, spec) < memory(201, 9, spec)


@pytest.mark.parametrize("workers", [1, 12])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fields", [{}, {"width": 64, "tokens": 512}])
def test_memory_is_that_of_templates_their_evaluation_and_the_grids(
    kind: str, fields: dict[str, Any], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separation, "cores", lambda: workers)
    spec = spec_of(kind, **fields)
    for words in (None, 1, 5000, 2**22):
        taken = words or spec.words
        evaluated = 2 * workers * inputs_at_once(taken) * taken
        side = 30 * spec.width * spec.tokens
        assert memory(30, 1, spec, words) == 8 * (side + evaluated + 5 * 30**2)
        assert memory(30, 7, spec, words) == 8 * (2 * side + evaluated + 10 * 30**2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fields", [{"width": 4, "tokens": 8}, {"width": 20, "tokens": 24}], ids=str)
def test_no_more_memory_is_taken_than_is_told(
    kind: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("grid", "separation"):
        monkeypatch.setattr(f"hypermixer.expressivity.{module}.cores", lambda: 1)
    spec = spec_of(kind, depth=1, **fields)
    tracemalloc.start()
    try:
        separation_rank(spec, count=100, method="whole")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < memory(100, 1, spec)


def test_large_inputs_are_refused_and_small_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    large = spec_of("attention", width=512, tokens=512)
    with pytest.raises(InputError, match=r"1\d\.\d GiB.*limit of 6 GiB"):
        separation_rank(large)
    assert memory(8192, 1, large) > 8 * 8192 * 512**2 > separation.MEMORY
    monkeypatch.setattr(separation, "cores", lambda: 64)
    for kind in KINDS:
        require_memory(memory(8192, 1, spec_of(kind, depth=4, width=3, tokens=8)), False)


def test_memory_is_refused_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert separation.MEMORY == 6 * 2**30
    require_memory(separation.MEMORY, False)
    require_memory(2**60, True)
    with pytest.raises(InputError, match=r"about 6\.0 GiB.*limit of 6 GiB.*fewer templates"):
        require_memory(separation.MEMORY + 1, False)
    with pytest.raises(InputError, match=r"1,024\.0 GiB"):
        require_memory(2**40, False)


def test_a_rank_above_its_bound_is_an_error_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Bound(17, "wrong", "proved", "never")
    monkeypatch.setattr(separation, "bounds", lambda spec: Bounds(wrong, wrong, None))
    with pytest.raises(WorkError, match="Internal error: a rank of 18 was found, and at most 17 is possible"):
        separation_rank(spec_of("attention"), method="whole")
    check_bound(17, 17)
    with pytest.raises(WorkError, match="rank of 18"):
        check_bound(18, 17)


WITHOUT_ASSERTIONS = """
from hypermixer.errors import WorkError
from hypermixer.expressivity import separation
from hypermixer.expressivity.bounds import Bound, Bounds
from hypermixer.expressivity.spec import spec_of

assert False
wrong = Bound(17, "wrong", "proved", "never")
separation.bounds = lambda spec: Bounds(wrong, wrong, None)
try:
    separation.separation_rank(spec_of("attention"), method="whole")
except WorkError as error:
    print(error)
"""


def test_it_is_one_without_assertions_too() -> None:
    done = subprocess.run([sys.executable, "-O", "-c", WITHOUT_ASSERTIONS], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Internal error: a rank of 18")


@pytest.mark.parametrize("method", ["whole", "blocks"])
def test_the_watch_is_told_of_all_inputs(method: str) -> None:
    seen: list[tuple[int, int]] = []
    found = separation_rank(spec_of("attention"), method=method, watch=lambda *told: seen.append(told))
    total = found.templates**2 * max(1, len(found.blocks))
    assert seen[-1] == (total, total) and [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("method", ["whole", "blocks"])
def test_results_are_plain_values(method: str) -> None:
    found = separation_rank(spec_of("attention"), method=method, second_prime=True)
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["rank"] == plain["second"] == plain["upper"] == 18 and plain["lower"] == found.lower
    assert spec_of(**plain["spec"]) == found.spec and plain["partition"] == [[0, 1], [2, 3]]
    assert sum(block["rank"] for block in plain["blocks"]) == (18 if method == "blocks" else 0)
    assert plain["seconds"] > 0 and plain["prime"] == PRIME and not plain["saturated"]
