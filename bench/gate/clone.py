"""The clone whose suite is gated, and whether its code is what runs.

The gate compares the clone in which the user is, by that clone's own code, whichever clone is installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.errors import UserError
from bench.gate.gate_options import GateOptions
from bench.gate.gate_report import PrintLine
from bench.gate.source_trees import SourceTree
from bench.machine.clone import WORKER_FILE, find_clone
from bench.machine.environment import PROJECT

#: Set for a gate that the gate of another clone has started, so that one whose code cannot be imported does not start
#: itself again.
STARTED_FOR = "HEADTOHEAD_GATED_CLONE"
#: Prints the folders of the suite's packages. It is run by a revision's own interpreter.
LIST_FOLDERS_CODE = "import json, backends, bench; print(json.dumps([*backends.__path__, *bench.__path__]))"


def run_in_clone(options: GateOptions, say: PrintLine) -> None:
    """Go on with the code of the clone that is gated: in its own process, unless this process runs that code already.

    A baseline is also compared outside of any clone, with the code that is installed.

    Raises:
        UserError: the folder is in no clone, or the clone's code cannot be imported.
    """
    folder = (options.repository or Path.cwd()).resolve()
    clone = find_clone(folder)
    if clone == PROJECT or (clone is None and options.baseline and not options.repository):
        return
    if clone is None:
        raise UserError(
            f"{folder} is in no clone of this suite (it has no {WORKER_FILE}): change to a clone, "
            "or give it as --repository; a test of another project is gated with --target"
        )
    if os.environ.get(STARTED_FOR) == str(clone):
        raise UserError(
            f"bench is imported from {PROJECT}, although {clone} comes first in PYTHONPATH: "
            "use a Python environment in which this clone is installed"
        )
    say(f"Gating {clone} with its own code; this command is installed from {PROJECT}.")
    variables = {**os.environ, "PYTHONPATH": _put_first(clone), STARTED_FOR: str(clone)}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", "bench", *sys.argv[1:]], variables)


def refuse_foreign_suite(source: SourceTree) -> None:
    """Check that a worker of an arm would import the arm's own files; revisions of all ages are checked.

    Raises:
        UserError: it would not.
    """
    done = subprocess.run(
        [str(source.python), "-P", "-c", LIST_FOLDERS_CODE],
        cwd=source.root,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(source.root), os.environ.get("PYTHONPATH")))),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return  # the worker will fail in the same way, and its reason is shown
    root = source.root.resolve()
    foreign = [name for name in json.loads(done.stdout) if not Path(name).resolve().is_relative_to(root)]
    if foreign:
        raise UserError(
            f"cannot compare: {source.name} would run the code in {foreign[0]}, which is none of its files: "
            "uninstall head-to-head from this Python environment, or use one of its own"
        )


def _put_first(folder: Path) -> str:
    """PYTHONPATH with a folder before all others."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
