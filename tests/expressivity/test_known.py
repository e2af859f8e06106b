"""What is known is found again, and what differs is told."""

import pytest

from hypermixer.expressivity import known
from hypermixer.expressivity.known import REAL_SIZES, Known, verify
from hypermixer.expressivity.spec import KINDS, spec_of

#: Width and tokens, depth: static upper; attention lower, upper; hypermixing lower, upper; logarithms to base 2.
REAL: dict[tuple[int, int, int], tuple[float, float, float | None, float, float | None]] = {
    (512, 512, 2): (33.0, 19.0, 33.0, 21.4, 92.6),
    (512, 512, 3): (63.4, 53.6, 101.5, 80.4, 414.6),
    (512, 512, 4): (120.7, 124.8, 279.1, 251.2, 1736.8),
    (512, 512, 5): (227.8, 282.0, 757.1, 609.1, None),
    (512, 512, 6): (426.3, 579.3, 1986.5, 1121.5, None),
    (512, 512, 7): (792.0, 726.7, None, 1694.6, None),
    (768, 196, 5): (214.9, 316.0, 827.8, 342.3, None),
    (1024, 1024, 6): (490.3, 741.5, 2349.8, 1783.2, None),
    (1024, 1024, 7): (920.0, 1060.4, None, 2897.0, None),
}


def test_all_that_is_known_is_found_again() -> None:
    checked = list(verify(slow=False))
    assert [one for one in checked if not one.same] == []
    assert len(checked) == sum(not one.slow for one in known.known()) > 100


def test_the_notes_are_copied_without_error() -> None:
    assert REAL_SIZES == REAL
    ranks = {one.spec: one.rank for one in known.known() if one.rank is not None}
    small = {(kind, depth): ranks.get(spec_of(kind, depth=depth)) for kind in KINDS[:3] for depth in (1, 2, 3, 4)}
    assert list(small.values()) == [3, 18, 232, 4538, 6, 190, 15691, None, 6, 20, 105, 825]
    assert ranks[spec_of("attention", width=3, tokens=6, depth=3)] == 3102
    assert ranks[spec_of("static", width=3, tokens=6, depth=3)] == 935
    assert ranks[spec_of("hypermixing", width=3, tokens=6)] == 2310
    residual = [ranks[spec_of("attention", depth=depth, residual=True)] for depth in (1, 2, 3)]
    assert residual == [3, 18, 232]
    assert ranks[spec_of("attention", width=3, tokens=6, residual=True)] == 49


def test_what_takes_long_is_marked() -> None:
    assert all(one.slow == (one.rank is not None and one.rank > 1000) for one in known.known())
    assert any(one.slow for one in known.known())


ATTENTION = spec_of("attention")
WIDE = spec_of("attention", width=512, tokens=512)


@pytest.mark.parametrize(
    "one, wanted, found",
    [
        (Known(ATTENTION, 18), "18", "18"),
        (Known(ATTENTION, 19), "19", "18"),
        (Known(ATTENTION, 17), "17", "18"),
        (Known(WIDE, lower=19.0, upper=33.0), "2^19.0 to 2^33.0", "2^19.0 to 2^33.0"),
        (Known(WIDE, lower=19.1, upper=33.0), "2^19.1 to 2^33.0", "2^19.0 to 2^33.0"),
        (Known(WIDE, lower=19.0, upper=32.9), "2^19.0 to 2^32.9", "2^19.0 to 2^33.0"),
        (Known(WIDE, upper=33.0), "? to 2^33.0", "? to 2^33.0"),
        (Known(ATTENTION, 18, slow=True), None, None),
    ],
)
def test_a_changed_value_is_noticed(
    one: Known, wanted: str | None, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "known", lambda: [one])
    checked = list(verify(slow=False))
    assert [(it.wanted, it.found, it.same) for it in checked] == ([(wanted, found, wanted == found)] if wanted else [])
    assert all(it.known is one for it in checked)


def test_another_prime_may_find_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "known", lambda: [Known(spec_of("static"), 20, slow=True)])
    assert [one.same for one in verify(prime=65537, seed=5)] == [True]
    assert [one.same for one in verify(prime=2, seed=5)] == [False]
