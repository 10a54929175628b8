"""The batch script of the page about several devices, run by a `srun` that starts both of its nodes on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench.records import store
from bench.worker.group.peers import find_free_ports
from tests.bench.processes import SITE
from tests.docs.shell_commands import PROJECT, list_blocks
from tests.docs.workplace import ENVIRONMENT, write_suites

PAGE = PROJECT / "docs/several-devices.md"
#: Slurm's programs, as far as the script uses them. Each node has a home, caches and a current folder of its own.
PROGRAMS = {
    "scontrol": '[ "$*" = "show hostnames two[0-1]" ] && printf "127.0.0.1\\nsecond\\n"',
    "srun": """
for node in 0 1; do
    mkdir -p "$NODES/$node/home" "$NODES/$node/tmp"
    (
        cd "$NODES/$node"
        export SLURM_NODEID=$node HOME=$NODES/$node/home TMPDIR=$NODES/$node/tmp HEADTOHEAD_HOME=$NODES/$node/home/cache
        exec "$@"
    ) > "$NODES/$node/output" 2>&1 &
done
wait -n && wait -n
""",
}


@pytest.mark.slow
@pytest.mark.thorough
def test_the_batch_script_runs_on_two_nodes(tmp_path):
    (script,) = [block for block in list_blocks(PAGE.read_text()) if any("#SBATCH" in line for line in block.lines)]
    text = "\n".join(script.lines)
    (tmp_path / "bin").mkdir()
    for name, lines in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{lines}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    batch = tmp_path / "job.sh"
    assert ":29500" in text
    batch.write_text(text.replace(":29500", f":{find_free_ports(1)}"))
    variables = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{SITE}{os.pathsep}{PROJECT}",
        "SUITES": str(write_suites(tmp_path / "suites")),
        "NODES": str(tmp_path / "nodes"),
        "SLURM_JOB_NODELIST": "two[0-1]",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "1",
    }
    done = subprocess.run(
        ["bash", str(batch)], env={**os.environ, **variables}, capture_output=True, text=True, timeout=300, check=False
    )
    outputs = [(tmp_path / "nodes" / node / "output").read_text() for node in "01"]
    assert done.returncode == 0, f"{done.stderr}\n{outputs}"
    (run,) = (tmp_path / "nodes/0/results").iterdir()
    records, problems = store.read_records(run)
    assert problems == []
    assert {(record.variant.name, record.resolved.get("nodes", 1)) for record in records} == {
        ("default", 1),
        ("default-x2", 2),
        ("default-x2-no-exchange", 2),
    }
    assert not [record.failure for record in records if record.failure]
    assert "Strong scaling" in (run / "tables.md").read_text()
    assert "its results are on node 0" in outputs[1]
    assert not Path(tmp_path / "nodes/1/results").exists()
