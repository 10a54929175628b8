"""Several machines: as many `bench run` on this one, each with a home, caches and a current folder of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from bench.records import store
from bench.records.record import Record
from bench.worker.group.peers import find_free_ports
from tests.bench.processes import Bench, arguments_of, living, suite_file, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.thorough]
TOKEN = "a secret of these tests"
#: Seconds after which every process of a node that has lost another one is to be gone.
GONE_SECONDS = 30


@dataclass
class Cluster:
    """Where nodes meet; `port` is free, and `temporary` are the nodes' folders of temporary files."""

    folder: Path
    suite: Path
    host: str = "127.0.0.1"
    port: int = field(default_factory=lambda: find_free_ports(1))
    temporary: list[Path] = field(default_factory=list)

    def start(
        self,
        rank: int,
        *options: object,
        nodes: int = 2,
        backends: tuple[str, ...] = ("pytorch",),
        timeout: str = "60s",
        **variables: str,
    ) -> Bench:
        """Start a node."""
        own = self.folder / f"node-{rank}-{len(list(self.folder.glob('node-*')))}"
        places = {"HOME": "home", "HEADTOHEAD_HOME": "home/cache/head-to-head"}
        places |= {f"XDG_{kind}_HOME": f"home/{kind.lower()}" for kind in ("CACHE", "CONFIG", "DATA", "STATE")}
        for place in (*places.values(), "work"):
            (own / place).mkdir(parents=True, exist_ok=True)
        # A socket's path has few bytes: its folder cannot lie in that of the test.
        self.temporary.append(Path(tempfile.mkdtemp(prefix="node-")))
        own_places = {name: str(own / place) for name, place in places.items()}
        chosen = [word for name in backends for word in ("--backend", name)]
        return Bench(
            *("run", "--suite", self.suite, *chosen, "--devices", nodes, "--nodes", nodes, "--node-rank", rank),
            *("--rendezvous", f"{self.host}:{self.port}", "--rendezvous-timeout", timeout, *options),
            cwd=own / "work",
            **{"HEADTOHEAD_TOKEN": TOKEN, "TMPDIR": str(self.temporary[-1]), **own_places, **variables},
        )

    def list_left_over(self) -> list[Path]:
        """The temporary files of the nodes that are still there."""
        found = [path for folder in self.temporary for path in folder.glob("head-to-head-*")]
        return [path for path in found if any(path.iterdir())]

    def remove(self) -> None:
        """Remove the folders of temporary files."""
        for folder in self.temporary:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, suite_file(tmp_path, launches=2))
    yield made
    made.remove()


@contextmanager
def run_both(cluster: Cluster, *options: object, **more) -> Iterator[tuple[Bench, Bench]]:
    """Run two nodes."""
    with cluster.start(0, *options, **more) as one, cluster.start(1, *options, **more) as two:
        yield one, two


def read_records(cluster: Cluster) -> list[Record]:
    (run,) = cluster.folder.glob("node-0-*/work/results/*")
    records, problems = store.read_records(run)
    assert problems == []
    return records


def assert_refused(bench: Bench, words: str, status: int = 2, seconds: float = 60) -> None:
    """A node has ended with one line, and without a traceback."""
    assert bench.end(seconds) == status, bench.stdout + bench.stderr
    lines = [line for line in bench.stderr.splitlines() if line.startswith("bench: ")]
    assert len(lines) == 1, bench.stdout + bench.stderr
    assert words in lines[0]
    assert "Traceback" not in bench.stdout + bench.stderr


def assert_free(cluster: Cluster) -> None:
    """Nobody listens where the nodes were to meet."""
    with socket.create_server((cluster.host, cluster.port)):
        pass


def check_measured(cluster: Cluster, one: Bench, two: Bench, backends: tuple[str, ...]) -> None:
    assert one.end(500) == 0, one.stdout[-3000:] + one.stderr[-3000:]
    assert two.end(30) == 0, two.stdout[-3000:] + two.stderr[-3000:]
    records = [record for record in read_records(cluster) if record.variant.devices]
    assert {record.backend for record in records} == set(backends)
    for record in records:
        assert record.failure is None
        assert (record.resolved["nodes"], record.resolved["devices"], record.variant.devices) == (2, 2, 2)
        assert len(record.resolved["cores"]) == 1, "of the one process on node 0"
        assert all(len(phase.processes) == 2 for phase in record.memory.host)
    proofs = [record.proof for record in records if record.proof]
    assert len(proofs) >= len(backends)
    for proof in proofs:
        assert proof.status == "proven", proof.reason
        assert {"one head", "division of a batch"} <= {check.name for check in proof.checks}
    assert "follows" in two.stdout
    assert "its results are on node 0" in two.stdout
    assert not list(cluster.folder.glob("node-1-*/work/results/*"))
    assert not cluster.list_left_over()
    written = b"".join(path.read_bytes() for path in cluster.folder.glob("node-*/work/**/*") if path.is_file())
    assert TOKEN.encode() not in written


@pytest.mark.parametrize("backend", ["pytorch", "tensorflow", "jax"])
def test_two_nodes_train_a_case_together(cluster, backend):
    with run_both(cluster, "--launches", 1, backends=(backend,), REAL="1", SHORT_WARMUP="1") as (one, two):
        check_measured(cluster, one, two, (backend,))


def test_a_launch_after_another_has_processes_of_both_nodes_again(cluster):
    with run_both(cluster, "--devices", 1) as (one, two):
        check_measured(cluster, one, two, ("pytorch",))
    assert {record.launch for record in read_records(cluster)} == {1, 2}


def test_a_node_0_that_waits_in_vain_ends_with_a_line(cluster):
    with cluster.start(0, timeout="3s") as one:
        assert_refused(one, "node 1 did not come in 3 s: start it with the same options")
    assert_free(cluster)


def test_a_node_1_that_finds_no_node_0_ends_with_a_line(cluster):
    with cluster.start(1, timeout="3s") as two:
        assert_refused(two, "node 0 did not answer in 3 s: start it with --node-rank 0")
    assert not cluster.list_left_over()


def test_nodes_that_do_not_come_end_those_that_came(cluster):
    with cluster.start(0, nodes=4, timeout="12s") as one, cluster.start(1, nodes=4) as two:
        assert_refused(one, "node 2, 3 did not come in 12 s")
        assert_refused(two, "node 2, 3 did not come")


def test_a_wrong_token_is_named_on_both_sides(cluster):
    with cluster.start(0, timeout="12s") as one, cluster.start(1, HEADTOHEAD_TOKEN="another") as two:
        assert_refused(two, "node 0 has another HEADTOHEAD_TOKEN: give all nodes the same")
        assert_refused(one, "node 1 did not come in 12 s (1 with another HEADTOHEAD_TOKEN was turned away)")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch-size", 16), "differs from node 0 in the fields of task 1"),
        (("--backend", "keras-jax"), "differs from node 0 in the cases ("),
        (("--devices", 1), "differs from node 0 in the cases ("),
        (("--train-limit", 32), "differs from node 0 in the "),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_other_options_are_named_on_both_sides(cluster, options, words):
    with cluster.start(0) as one, cluster.start(1, *options) as two:
        assert_refused(two, words)
        assert_refused(one, words)


def test_another_number_of_nodes_is_named_on_both_sides(cluster):
    with cluster.start(0) as one, cluster.start(1, nodes=4) as two:
        for bench in (one, two):
            assert_refused(bench, "node 1 differs from node 0 in the number of nodes (4 instead of 2): start all nodes")


def test_two_nodes_of_one_rank_are_named(cluster):
    with cluster.start(0, nodes=4) as one, cluster.start(1, nodes=4) as two, cluster.start(1, nodes=4) as third:
        assert_refused(one, "two nodes have --node-rank 1: give each its own")
        for bench in (two, third):
            assert_refused(bench, "two nodes have --node-rank 1")


@pytest.mark.parametrize("package", ["torch", "head-to-head"])
def test_other_versions_are_named_on_both_sides(cluster, package):
    real = {"REAL": "1"}
    with cluster.start(0, **real) as one, cluster.start(1, **real, OTHER_VERSION=f"{package} 0.0.1") as two:
        words = f"node 1 differs from node 0 in the version of {package} (0.0.1 instead of "
        assert_refused(two, words)
        assert_refused(one, words)


def test_a_taken_port_is_one_line(cluster):
    with socket.create_server((cluster.host, cluster.port)), cluster.start(0) as one:
        assert_refused(
            one, "cannot be listened at (Address already in use): give an address of node 0 with a free port"
        )


@pytest.mark.parametrize("rank", [0, 1])
def test_a_host_without_an_address_is_one_line(cluster, rank):
    cluster.host = "node0.invalid"
    with cluster.start(rank) as bench:
        assert_refused(bench, f"--rendezvous node0.invalid:{cluster.port}", seconds=45)


def test_ranks_out_of_range_and_missing_options_are_one_line(cluster):
    for rank, nodes, words in (
        (2, 2, "the 2 nodes have the numbers 0 to 1"),
        (-1, 2, "--node-rank"),
        (0, 1, "--nodes"),
    ):
        with cluster.start(rank, nodes=nodes) as bench:
            assert_refused(bench, words)
    with cluster.start(0, HEADTOHEAD_TOKEN="") as bench:
        assert_refused(bench, "set HEADTOHEAD_TOKEN to the same secret word on all nodes")


def list_family(bench: Bench) -> list[psutil.Process]:
    return [psutil.Process(bench.process.pid), *bench.workers()]


def start_training(one: Bench, two: Bench) -> list[psutil.Process]:
    """Wait until both nodes train the second launch; returns all of their processes."""
    one.until(lambda: "launch 2 of" in one.events and "pipeline" in one.events.rpartition("launch 2 of")[2])
    family = [*list_family(one), *list_family(two)]
    assert sum("bench.worker.group.peer" in arguments_of(process) for process in family) == 1
    return family


@pytest.fixture
def slow(tmp_path) -> Iterator[Cluster]:
    """Rounds that last long enough to be ended in their middle."""
    made = Cluster(tmp_path, suite_file(tmp_path, launches=3, rounds=6, round_seconds=1.0))
    yield made
    made.remove()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_node_1_that_ends_in_a_launch_ends_the_run(slow, number):
    with slow.start(0) as one, slow.start(1) as two:
        family = start_training(one, two)
        two.process.send_signal(number)
        began = time.monotonic()
        assert two.end(30) == (130 if number != signal.SIGKILL else -signal.SIGKILL)
        assert_refused(one, "node 1 has ended before the run was over", seconds=60)
        assert wait_until(lambda: not living(family), GONE_SECONDS), living(family)
        assert time.monotonic() - began < 60
    failed = [record for record in read_records(slow) if record.launch == 2]
    assert [record.failure.reason for record in failed] == [
        "process 1 of 2, on node 1: its connection was closed: see what that node says"
    ]
    assert_free(slow)
    assert wait_until(lambda: not slow.list_left_over(), GONE_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_a_node_0_that_ends_in_a_launch_ends_the_others(slow, number):
    with slow.start(0) as one, slow.start(1) as two:
        family = start_training(one, two)
        one.process.send_signal(number)
        if number == signal.SIGKILL:
            assert_refused(two, "node 0 has ended before the run was over: see what it says", seconds=30)
        else:
            assert one.end(30) == 130
            assert_refused(two, "node 0 was stopped before the run was over", seconds=30)
        assert "killed by" not in two.stdout
        assert wait_until(lambda: not living(family), GONE_SECONDS), living(family)
    assert_free(slow)
    assert wait_until(lambda: not slow.list_left_over(), GONE_SECONDS)


def test_a_peer_that_is_killed_ends_its_case_and_both_nodes_say_so(slow):
    with slow.start(0) as one, slow.start(1) as two:
        family = start_training(one, two)
        (peer,) = [process for process in family if "bench.worker.group.peer" in arguments_of(process)]
        (worker,) = [process for process in family if "bench.worker" in arguments_of(process)]
        peer.kill()
        assert wait_until(lambda: not living([peer, worker]), 5)
        assert one.end(60) == 1
        assert two.end(30) == 0
        assert "process 1 of 2, on node 1: killed by SIGKILL" in two.stdout
    failed = [record.failure for record in read_records(slow) if record.failure]
    assert [failure.reason for failure in failed] == [
        "process 1 of 2, on node 1: its connection was closed: see what that node says"
    ]


def test_a_peer_that_cannot_start_is_named_in_the_record(cluster):
    with cluster.start(0) as one, cluster.start(1, BROKEN_PEER="1") as two:
        assert one.end(90) == 1, one.stdout + one.stderr
        assert two.end(30) == 0
    (record,) = read_records(cluster)
    assert "process 1 of 2, on node 1: ImportError: planted: a peer that cannot start" in record.failure.reason


@pytest.mark.parametrize("rank", [0, 1])
def test_ctrl_c_while_a_node_waits_leaves_nothing(cluster, rank):
    with cluster.start(rank) as bench:
        time.sleep(4)
        bench.process.send_signal(signal.SIGINT)
        assert bench.end(20) == 130
        assert "Traceback" not in bench.stdout + bench.stderr
    assert_free(cluster)
    assert not cluster.list_left_over()
