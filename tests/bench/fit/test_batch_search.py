"""The search for the largest batch: it ends soon, and right, whatever memory does."""

from __future__ import annotations

import pytest

from bench.fit.batch_search import TOLERANCE, Trial, choose_batch_size, find_bounds

MB = 2**20
START, MOST = 4, 50_000


def search(memory, limit, start=START, most=MOST):
    trials = []
    while size := choose_batch_size(trials, start, most, limit):
        assert size not in {one.batch_size for one in trials}, "no batch is tried twice"
        assert 1 <= size <= most
        trials.append(Trial(size, memory(size) <= limit, min(memory(size), limit)))
    return trials


def affine(batch):
    return 500 * MB + 3 * MB * batch


def stepped(batch):
    """As an allocator that grows by powers of two."""
    return 500 * MB + 2 ** (3 * MB * batch).bit_length()


def bent(batch):
    """Another algorithm, with a workspace, from 1,000 images on."""
    return affine(batch) + (4000 * MB if batch >= 1000 else 0)


@pytest.mark.parametrize("limit", [600 * MB, 4_000 * MB, 18_000 * MB, 60_000 * MB])
@pytest.mark.parametrize("memory", [affine, stepped, bent, lambda batch: 7 * MB * batch])
@pytest.mark.parametrize("start", [1, 4, 32, 4096])
def test_the_largest_batch_is_found_within_the_tolerance(memory, limit, start):
    trials = search(memory, limit, start)
    fitting, failing = find_bounds(trials)
    most = max(size for size in range(1, MOST + 1) if memory(size) <= limit)
    if most == MOST:
        assert (fitting.batch_size, failing) == (MOST, None)
    else:
        assert fitting.batch_size <= most < failing.batch_size
        assert failing.batch_size - fitting.batch_size <= max(1, TOLERANCE * fitting.batch_size)
    assert len(trials) <= 22


def test_a_line_through_two_trials_saves_most_of_the_others():
    assert len(search(affine, 18_000 * MB)) <= 8


def test_where_memory_is_not_known_the_batch_grows_fourfold():
    trials = []
    while size := choose_batch_size(trials, 4, 1000, 0):
        trials.append(Trial(size, size <= 100, 0))
    assert [one.batch_size for one in trials][:4] == [4, 16, 64, 256]
    fitting, failing = find_bounds(trials)
    assert 95 <= fitting.batch_size <= 100 < failing.batch_size <= 105


def test_nothing_fits():
    trials = search(lambda batch: 10 * MB, 5 * MB, start=32)
    assert [one.batch_size for one in trials] == [32, 16, 8, 4, 2, 1]
    assert find_bounds(trials)[0] is None


def test_all_images_fit_and_the_first_batch_is_no_larger_than_they_are():
    assert [one.batch_size for one in search(affine, 10**15, start=64, most=50)] == [50]
