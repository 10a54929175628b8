"""The project's own speed targets: `python -m tests.yardsticks [--only NAME] [--launches N] [--quick]`.

The exit status is 0 whether they are reached or missed: the table is for people, and no gate.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

import backends
from tests.yardsticks import (
    accuracy,
    against_scripts,
    bf16,
    cached,
    case,
    command_line,
    error_rates,
    exhaustive,
    extraction,
    handwritten,
    harness_cost,
    head,
    launch_time,
    measuring_phase,
    storage,
    variants,
)
from tests.yardsticks.extent import Extent
from tests.yardsticks.target import Target, counted, of_ratios, spanned

QUICK_ROUNDS = 2
#: CIFAR-10's own number of training images.
IMAGES, QUICK_IMAGES = 50_000, 500
HELP_RUNS = 5
WIDTH = 110


def scripts(extent: Extent) -> Iterator[Target]:
    """Ours against the idiomatic scripts."""
    for backend in extent.backends:
        ys = []
        for number in range(extent.launches):
            y = against_scripts.launch(backend, extent.data, extent.rounds, number)
            ys.append(y)
            extent.say(f"{backend} / its script, launch {number + 1} of {extent.launches}: {math.exp(y):.3f}")
        yield of_ratios(f"{backend}: throughput, ours / script", ys, least=0.98)


def rounds(extent: Extent) -> Iterator[Target]:
    """Rounds against a plain loop."""
    for backend in extent.backends:
        ys = []
        for number in range(extent.launches):
            ys.append(harness_cost.launch(backend, extent.data, extent.rounds))
            extent.say(f"{backend} rounds / plain loop, launch {number + 1}: {math.exp(ys[-1]):.3f}")
        yield of_ratios(f"{backend}: throughput, rounds / plain loop", ys, least=0.98, most=1.02)


def share(extent: Extent) -> Iterator[Target]:
    """The share of the measuring phase inside rounds."""
    ys = []
    for number in range(_launches(extent)):
        ys.append(measuring_phase.share_in_rounds(extent.data, extent.rounds))
        extent.say(f"share inside rounds, launch {number + 1}: {math.exp(ys[-1]):.3f}")
    yield of_ratios("share of the measuring phase inside rounds", ys, least=0.98, style=".1%")


def waiting(extent: Extent) -> Iterator[Target]:
    """The CPU that waiting workers use."""
    found = []
    for number in range(_launches(extent)):
        found.append(measuring_phase.waiting_cpu(extent.data, extent.rounds))
        parts = ", ".join(f"{backend} {part:.2%}" for backend, part in found[-1][1].items())
        extent.say(f"CPU of waiting workers, launch {number + 1}: {parts}")
    totals = [total for total, _ in found]
    last = ", ".join(f"{backend} {part:.2%}" for backend, part in found[-1][1].items())
    yield Target(
        "CPU of waiting workers, of one core",
        spanned(totals),
        most=0.01,
        style=".2%",
        note=f"median, least to most; in the last launch {last}",
    )


def help_(extent: Extent) -> Iterator[Target]:
    """`bench --help`."""
    seconds = [command_line.help_seconds() for _ in range(HELP_RUNS)]
    imported = command_line.imported_frameworks()
    note = f"imports {', '.join(sorted(imported))}" if imported else "imports no framework"
    yield Target(
        "bench --help, seconds",
        spanned(seconds),
        most=0.5,
        style=".2f",
        note=f"median, least to most; {note}",
        broken=bool(imported),
    )


def errors(extent: Extent) -> Iterator[Target]:
    """How often comparisons are wrong, of the first backend asked for; many of them take long."""
    backend = extent.backends[0]
    found = []
    for number in range(extent.comparisons):
        extent.say(f"comparison {number + 1} of {extent.comparisons}")
        found.append(error_rates.compare(backend, extent.data, extent.say))
    about = f"{len(found)} comparisons of {error_rates.LAUNCHES} launches"
    named = [comparison.winner_named for comparison in found]
    covered = [comparison.covered for comparison in found]
    yield counted(f"{backend} / itself: a winner named", named, most=0.05, note=about)
    yield counted(f"{backend}, {error_rates.SLOWER:.0%} slower: interval covers it", covered, least=0.9, note=about)


def stored(extent: Extent) -> Iterator[Target]:
    """What records cost."""
    seconds = storage.list_seconds()
    note = f"of {storage.RUNS:,} runs; median, least to most"
    yield Target("bench list runs, seconds", spanned(seconds), most=2, style=".2f", note=note)
    shares = [storage.recording_share() for _ in range(storage.REPEATS)]
    note = "every record, table and file of the published run; median, least to most"
    yield Target("recording, of a run's wall time", spanned(shares), most=0.01, style=".2%", note=note)


def everything(extent: Extent) -> Iterator[Target]:
    """What is tuned against all combinations, of the first backend asked for; about twenty minutes."""
    backend = extent.backends[0]
    ys = exhaustive.compare(backend, extent.data, extent.say)
    of = ", ".join(exhaustive.SUBSET)
    yield of_ratios(f"{backend}: tuned / the best of all", ys, least=0.97, note=f"throughput; all combinations of {of}")


PARTS = {
    "scripts": scripts,
    "rounds": rounds,
    "share": share,
    "waiting": waiting,
    "help": help_,
    "stored": stored,
    "errors": errors,
    "exhaustive": everything,
    "variants": variants.targets,
    "handwritten": handwritten.targets,
    "cached": cached.targets,
    "extraction": extraction.targets,
    "head": head.targets,
    "bf16": bf16.targets,
    "accuracy": accuracy.targets,
    "launch-time": launch_time.targets,
}
#: Measured only where they are asked for.
LONG = (
    "errors",
    "variants",
    "handwritten",
    "cached",
    "extraction",
    "head",
    "bf16",
    "accuracy",
    "exhaustive",
    "launch-time",
)


def table(targets: list[Target]) -> Table:
    """All targets."""
    shown = Table(title="Speed targets", title_justify="left")
    for heading in ("target", "measured", "95 % interval", "wanted", "verdict"):
        shown.add_column(heading, justify="right" if heading == "measured" else "left")
    for target in targets:
        shown.add_row(*target.row, style=None if target.reached else "bold")
    shown.caption = "\n".join(f"{target.name}: {target.note}" for target in targets if target.note)
    shown.caption_justify = "left"
    return shown


def make_parser() -> argparse.ArgumentParser:
    """The options of this program."""
    parser = argparse.ArgumentParser(prog="python -m tests.yardsticks", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part; repeatable")
    parser.add_argument(
        "--backend",
        action="append",
        choices=case.BACKENDS,
        help="repeatable (all that are installed)",
    )
    parser.add_argument("--launches", type=int, default=6, help="launches of each backend (%(default)s)")
    parser.add_argument("--rounds", type=int, default=12, help="rounds in each launch (%(default)s)")
    parser.add_argument("--comparisons", type=int, default=40, help="in errors (%(default)s)")
    parser.add_argument("--images", type=int, help=f"for training, in cached ({IMAGES:,})")
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="real images for cached, bf16, accuracy and launch-time: the folder of CIFAR-10's batches",
    )
    parser.add_argument("--against", help="in launch-time: the folder of another clone, or a revision, to compare with")
    parser.add_argument("--quick", action="store_true", help="one launch, few rounds: shows that it works, no more")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    if min(options.launches, options.rounds, options.comparisons) < 1:
        parser.error("--launches, --rounds and --comparisons have to be 1 or more")
    usable = _find_usable(parser, options.backend)
    if options.images is not None and options.images < cached.TEST_SHARE:
        parser.error(f"--images has to be {cached.TEST_SHARE} or more")
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
        extent = Extent(
            launches=1 if options.quick else options.launches,
            rounds=QUICK_ROUNDS if options.quick else options.rounds,
            comparisons=1 if options.quick else options.comparisons,
            backends=usable,
            data=case.write_images(Path(folder)),
            images=options.images or (QUICK_IMAGES if options.quick else IMAGES),
            data_dir=options.data_dir,
            quick=options.quick,
            console=Console(stderr=True),
            against=options.against,
        )
        targets = [target for name in options.only or _usual() for target in PARTS[name](extent)]
    terminal = Console()
    # Where there is no terminal, its width is no reason to break lines.
    (terminal if terminal.is_terminal else Console(width=WIDTH)).print(table(targets))


def _usual() -> list[str]:
    return [name for name in PARTS if name not in LONG]


def _find_usable(parser: argparse.ArgumentParser, wanted: list[str] | None) -> tuple[str, ...]:
    """The backends to measure: those asked for, which have to be installed, or all that are."""
    missing = {name: backends.find_missing_packages(name) for name in wanted or case.BACKENDS}
    usable = tuple(name for name, packages in missing.items() if not packages)
    without = [f"{name} needs {', '.join(packages)}" for name, packages in missing.items() if packages]
    if without and (wanted or not usable):
        parser.error(f"not installed: {'; '.join(without)}")
    return usable


def _launches(extent: Extent) -> int:
    """Launches of all three backends: half as many, for each costs three starts."""
    return max(1, extent.launches // 2)


if __name__ == "__main__":
    main()
