"""The processes with frameworks: one that exports a network, and one for each backend that builds it."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

import backends
from bench.errors import Unavailable, UserError
from bench.machine.environment import PROJECT, count_usable_cores
from bench.machine.variables import make_worker_variables

#: Seconds that an export, and a backend with one network, may take.
TIMEOUT_S = 300.0
#: A process that has more memory is started anew: frameworks keep what they compile.
MOST_BYTES = 2**31
#: Packages that an export needs.
NEEDED = ("torch", "timm")


class RunningPython:
    """Runs a module in a process that another thread may kill."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def run(self, module: str, arguments: Sequence[str], online: bool = False) -> dict[str, Any]:
        """Run a module whose last line is JSON, on the CPU.

        Args:
            online: whether it may use the network; then it shows its progress on stderr, and may take as long as it
                takes.

        Returns:
            The JSON; `{"error": …, "transient": …}` if it has none, or takes longer than `TIMEOUT_S`.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=_make_environment({} if online else {"HF_HUB_OFFLINE": "1"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if online else subprocess.PIPE,
            text=True,
        )
        if self._killed:
            self._process.kill()
        try:
            out, errors = self._process.communicate(timeout=None if online else TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return {"error": f"it took longer than {TIMEOUT_S:.0f} s", "transient": True}
        with contextlib.suppress(ValueError, IndexError):
            return json.loads(out.splitlines()[-1])
        lines = (errors or "").strip().splitlines()
        status = self._process.returncode
        return {"error": lines[-1] if lines else f"its process ended with status {status}", "transient": status < 0}

    def kill(self) -> None:
        """End the process, and any that would be started."""
        self._killed = True
        if self._process:
            self._process.kill()


def list_timm_names(*options: str) -> list[str]:
    """timm's names of networks; raises as `list_timm_networks`."""
    return list(list_timm_networks(*options))


def list_timm_networks(*options: str) -> dict[str, list[str]]:
    """timm's networks: the tags of each one's pretrained weights, see `bench.networks.timm_names`.

    Raises:
        Unavailable: timm or PyTorch is not installed.
        UserError: timm does not answer.
    """
    from importlib.util import find_spec

    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise Unavailable(f"networks of timm need {' and '.join(missing)}: pip install head-to-head[pytorch]")
    answer = RunningPython().run("bench.networks.timm_names", options)
    if "names" not in answer:
        raise UserError(f"timm does not list its networks: {answer['error']}")
    return {name: answer["tags"][name] for name in answer["names"]}


def make_unknown_network_error(name: str, known: Sequence[str]) -> UserError:
    """The error about a name that timm does not have, with the nearest ones: by their beginning, as `vit_tiny` is of
    `vit_tiny_patch16_224`, and then by their length.
    """

    def measure_distance(one: str) -> tuple[float, int]:
        return -difflib.SequenceMatcher(None, name, one[: len(name)]).ratio(), abs(len(one) - len(name))

    nearest = sorted(known, key=measure_distance)[:3]
    return UserError(
        f"timm has no network {name!r}: did you mean {', '.join(nearest)}? bench list backbones --search TEXT finds "
        "others"
    )


class EvaluationProcess:
    """A backend's process; it is started again when it died or hung."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
        self._rest = b""

    def compare(self, folder: Path) -> dict[str, Any]:
        """What `bench.networks.evaluation` answers for an exported network."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{folder}\n".encode())
            self._process.stdin.flush()
            answer = json.loads(self._read_line())
            if psutil.Process(self._process.pid).memory_info().rss > MOST_BYTES:
                self.stop()
            return answer
        except TimeoutError:
            error = f"it took longer than {TIMEOUT_S:.0f} s"
        except (OSError, EOFError):
            self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 2000))
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            error = f"its process died: {lines[-1] if lines else 'without a word'}"
        self.stop()
        return {"error": error, "transient": True}

    def stop(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()
        self._process = None

    def _start(self) -> None:
        self._rest = b""
        self._log.truncate(0)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.networks.evaluation", self.backend],
            env=_make_environment(backends.REGISTRY[self.backend].environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is the command's, which ends it
        )

    def _read_line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor, end = self._process.stdout.fileno(), time.monotonic() + TIMEOUT_S
        while b"\n" not in self._rest:
            if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            part = os.read(descriptor, 1 << 16)
            if not part:
                raise EOFError
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _make_environment(own: Mapping[str, str]) -> dict[str, str]:
    on_the_cpu = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    environment = make_worker_variables(os.environ, count_usable_cores() or 1) | dict(own) | on_the_cpu
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    return environment
