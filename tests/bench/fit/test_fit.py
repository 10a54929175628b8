"""`bench fit` in real processes: the largest batch by host memory, by an allocator that gives up, and by neither."""

from __future__ import annotations

import re
import signal
import time

import pytest

from bench.fit.memory_watch import MemoryWatch
from tests.bench.processes import Bench, suite_file, wait_until

pytestmark = pytest.mark.slow


def fit(folder, *options, **planted):
    arguments = ("--suite", suite_file(folder), "--backend", "pytorch", "--batch-size", 4)
    with Bench("fit", *arguments, *options, cwd=folder, **planted) as bench:
        status = bench.end()
    return status, bench.stdout, bench.stderr


def test_the_largest_batch_in_host_memory_is_found_and_nothing_larger_is_let_run(tmp_path):
    status, out, _ = fit(tmp_path, "--memory", "400MB", PLANTED_PYTORCH="fill 16")
    assert status == 0, out
    tried = {int(size): fits == "fits" for size, fits in re.findall(r"a batch of (\d+) (fits|does not)", out)}
    (row,) = re.findall(r"pytorch/default +(\d+) +(\d+) +(\d+) +(\d+) *\n", out)
    largest, memory, too_large, trials = map(int, row)
    assert (tried[largest], tried[too_large], len(tried)) == (True, False, trials)
    assert too_large == largest + 1
    # 16 MB for each image of a batch, beside what Python, NumPy and pytest take.
    assert 14 <= largest <= 23
    assert 16 * largest <= memory <= 400
    assert f"a batch of {too_large} does not: more than 400 MB of host memory" in out


def test_an_allocator_that_gives_up_says_so_and_the_search_goes_on(tmp_path):
    status, out, _ = fit(tmp_path, PLANTED_PYTORCH="no memory above 10")
    assert status == 0, out
    assert "does not: no more host memory" in out
    assert re.search(r"pytorch/default +10 +\d+ +11 ", out)


def test_all_images_fit_in_one_batch_and_another_error_gives_the_case_up(tmp_path):
    status, out, _ = fit(tmp_path, "--backend", "keras", PLANTED_KERAS="raise in build")
    assert status == 1
    assert re.search(r"pytorch/default +64 \(all\) +\d+ +– ", out)
    assert re.search(r"keras/default +– +– +– +0 ", out)
    assert "keras/default: given up: ValueError: planted: raised in build" in " ".join(out.split())


def test_ctrl_c_shows_what_is_known(tmp_path):
    arguments = ("--suite", suite_file(tmp_path), "--backend", "pytorch", "--memory", "400MB")
    with Bench("fit", *arguments, cwd=tmp_path, PLANTED_PYTORCH="sleep 400") as bench:
        assert wait_until(lambda: "fits" in bench.stdout, 60)
        bench.process.send_signal(signal.SIGINT)
        assert bench.end() == 130
    assert re.search(r"pytorch/default +\d+ +\d+ +– ", bench.stdout)


def test_no_memory_and_more_than_is_free_are_one_line(tmp_path):
    assert fit(tmp_path, "--memory", "0GB") == (
        2,
        "",
        "bench: --memory 0MB: no case takes nothing: give more, as 8GB\n",
    )
    status, out, error = fit(tmp_path, "--memory", "900TB")
    assert (status, out) == (2, "")
    assert re.fullmatch(r".*--memory 943718400MB: [\d,]+ MB are free: give less, or end other programs\n", error)


def test_the_watch_counts_no_process_of_others_and_ends_none_below_its_limit(tmp_path):
    with MemoryWatch(2**40) as watch:
        time.sleep(0.3)
    assert (watch.peak, watch.exceeded) == (0, False)
