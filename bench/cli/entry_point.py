"""The entry point of `bench`, `head-to-head` and `python -m bench`: every end has an exit status of its own.

Almost nothing is imported before `main` handles errors, so that a broken installation is reported like any other
unexpected error, and Ctrl-C during the imports stops the command as it does later.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False  # as type checkers know it, without the milliseconds that importing typing takes
if TYPE_CHECKING:
    import threading
    from types import FrameType

#: An unexpected error: EX_SOFTWARE of sysexits.h. 1 is a verdict, as of `bench gate`, and must not mean a crash.
CRASHED = 70
STOPPED = 130
#: Signals that stop a command as Ctrl-C does: from a service manager or `timeout`, and from the end of a terminal.
STOPPING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def main() -> None:
    """Run the command line, and exit with its status: 70 after an unexpected error, 130 if it was stopped."""
    try:
        status = _run_process()
    except KeyboardInterrupt:  # before the command, or after it
        _ignore_stops()
        print("bench: stopped", file=sys.stderr)
        status = STOPPED
    # Under `python -m`, Python ends by SIGINT where an interrupt has gone through `eval` or `exec` of a text, as in the
    # import of a dataclass, though it was handled; another `eval` makes Python forget it.
    eval("None")
    sys.exit(status)


def _run_process() -> int:
    """Run the command line with secured streams, handled signals and an answer to crashes in threads."""
    import threading

    from bench.cli import output_streams
    from bench.cli.crash_report import report_crash

    descriptors = output_streams.secure()
    _handle_signals()
    crashes: list[BaseException] = []

    def report_thread(crash: threading.ExceptHookArgs) -> None:
        if crash.exc_value is not None and not isinstance(crash.exc_value, SystemExit):
            crashes.append(crash.exc_value)
            print(report_crash(crash.exc_value), file=sys.stderr)

    hook, threading.excepthook = threading.excepthook, report_thread
    try:
        status = _run()
    finally:
        threading.excepthook = hook
    _ignore_stops()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    for problem in filter(None, (descriptor.problem for descriptor in descriptors)):
        print(f"bench: the output is cut off: it could not be written ({problem.strerror})", file=sys.stderr)
    return CRASHED if crashes else status


def _run() -> int:
    try:
        if not _has_folder():
            print("bench: the current folder no longer exists: change to another one", file=sys.stderr)
            return 2
        from bench.cli.app import run_command_line

        return run_command_line(sys.argv[1:])
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return STOPPED
    except Exception as error:
        from bench.cli.crash_report import report_crash

        print(report_crash(error), file=sys.stderr)
        return CRASHED


def _has_folder() -> bool:
    from pathlib import Path

    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def _handle_signals() -> None:
    for number in STOPPING_SIGNALS:
        # `nohup` lets a command ignore the end of its terminal.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _ignore_stops() -> None:
    """The command is over: another Ctrl-C while Python ends would replace its status, or print a traceback."""
    for number in (signal.SIGINT, *STOPPING_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Stop as Ctrl-C does, once: terminals and service managers send several signals, which must not cut off the end.

    Raises:
        KeyboardInterrupt: always.
    """
    for number in STOPPING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
