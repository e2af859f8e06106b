"""Who runs which cell: one process each, and nothing beside what measures time."""

from pathlib import Path

import pytest

from hypermixer.studies.locks import Claim, Locks


@pytest.fixture
def two(tmp_path: Path) -> tuple[Locks, Locks]:
    """As two processes have them."""
    return Locks(tmp_path), Locks(tmp_path)


def claimed(locks: Locks, key: str, alone: bool = False) -> Claim:
    claim = locks.claim(key, alone)
    assert claim is not None
    return claim


def test_a_cell_is_for_one_until_it_is_released(two: tuple[Locks, Locks]) -> None:
    mine, other = two
    claim = claimed(mine, "a")
    assert other.claim("a", False) is None
    claimed(other, "b").release()
    claim.release()
    claimed(other, "a").release()


def test_what_measures_time_waits_for_all_that_runs(two: tuple[Locks, Locks]) -> None:
    mine, other = two
    running = [claimed(other, key) for key in ("a", "b")]
    for claim in running:
        assert mine.claim("timed", True) is None
        claimed(mine, "c").release()  # who waits is in nobody's way
        claim.release()
    claimed(mine, "timed", True).release()


def test_all_wait_for_what_measures_time(two: tuple[Locks, Locks]) -> None:
    mine, other = two
    claim = claimed(mine, "timed", True)
    assert other.claim("a", False) is None and other.claim("also timed", True) is None
    assert other.claim("timed", True) is None
    claim.release()
    claimed(other, "a").release()
    claimed(other, "timed", True).release()
