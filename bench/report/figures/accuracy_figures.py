"""The figures of a task's whole fine-tunes: loss over epochs, and accuracy over epochs and over seconds of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench.analysis.launches import TaskLaunches
from bench.analysis.statistics import Interval
from bench.records.record import FineTune
from bench.report.figures.figure import Line, LinePlot, Point
from bench.report.tables.accuracy_table import compute_accuracy, compute_epoch_accuracies

#: What figures of accuracy are read by, in runs and sweeps alike.
POINT = "Each point is the state after an epoch, with its 95 % interval."
WHERE = "Further left is sooner, higher is better; the seconds are those of training, without evaluation."
SECONDS = "seconds of training"


def build_loss_by_epoch(task: TaskLaunches) -> LinePlot | None:
    """Build the training loss over epochs, one line per case: its first fine-tune. None without any."""
    lines = tuple(
        Line(case.label, tuple(Point(epoch, loss) for epoch, loss in enumerate(tunes[0].train_loss, start=1)))
        for case in task.cases
        if (tunes := case.fine_tunes) and tunes[0].train_loss
    )
    if not lines:
        return None
    return LinePlot(
        title="Training loss over epochs",
        how_to_read=(
            "A line is the mean training loss of a case's first fine-tune, epoch by epoch. The cases train the same "
            "images in the same order from the same head: where they are the same experiment, the lines coincide."
        ),
        x_title="epoch",
        y_title="training loss, cross entropy",
        lines=lines,
    )


def build_accuracy_by_epoch(task: TaskLaunches) -> LinePlot | None:
    """Build the test accuracy over epochs, one line per case; None with random weights."""
    return _build_accuracy_plot(
        task,
        title="Test accuracy over epochs",
        how_to_read=f"{POINT} Lines that coincide: the cases learn equally well.",
        x_title="epochs of training",
        list_places=lambda tunes: range(1, task.task.epochs + 1),
    )


def build_accuracy_by_seconds(task: TaskLaunches) -> LinePlot | None:
    """Build the test accuracy over the seconds of training, medians over fine-tunes; None with random weights."""
    return _build_accuracy_plot(
        task,
        title="Test accuracy over seconds of training",
        how_to_read=f"{POINT} {WHERE}",
        x_title=f"{SECONDS}, median over fine-tunes",
        list_places=_list_epoch_ends,
    )


def make_accuracy_point(x: float, accuracy: Interval) -> Point:
    """Make the point of an accuracy, a share, in per cent and with its interval."""
    low, high = (None if end is None else 100 * end for end in (accuracy.low, accuracy.high))
    return Point(x, 100 * accuracy.estimate, low, high)


def _build_accuracy_plot(
    task: TaskLaunches,
    title: str,
    how_to_read: str,
    x_title: str,
    list_places: Callable[[Sequence[FineTune]], Sequence[float]],
) -> LinePlot | None:
    """Build a plot of the accuracy after each epoch; `list_places` gives the epochs' places on the x axis."""
    lines, scored = [], set()
    for case in task.cases:
        tunes = [tune for tune in case.fine_tunes if tune.epoch_correct]
        if tunes:
            shares = compute_epoch_accuracies(case)
            scored.add((tunes[0].epoch_test_images, tunes[0].test_images))
            lines.append(Line(case.label, tuple(map(make_accuracy_point, list_places(tunes), shares))))
        elif accuracy := compute_accuracy(case):
            lines.append(Line(case.label, (make_accuracy_point(list_places(case.fine_tunes)[-1], accuracy),)))
    if not lines:
        return None
    return LinePlot(
        title=title,
        how_to_read=" ".join((how_to_read, *_explain_points(task, lines, scored))),
        x_title=x_title,
        y_title="test accuracy",
        lines=tuple(lines),
        y_unit=" %",
    )


def _list_epoch_ends(tunes: Sequence[FineTune]) -> list[float]:
    """The seconds of training at the end of each epoch, medians; of records without them only those of the last."""
    ends = [tune.epoch_seconds or (tune.seconds,) for tune in tunes]
    return [median(epoch) for epoch in zip(*(one[-min(map(len, ends)) :] for one in ends), strict=True)]


def _explain_points(task: TaskLaunches, lines: Sequence[Line], scored: set[tuple[int, int]]) -> Iterator[str]:
    """Say which test images the points are of, and why a case has only one."""
    for images, of in sorted(scored):
        if images < of:
            yield (
                f"The points are of the first {images:,} of {of:,} test images, so the last one can differ from the "
                "table, which has all."
            )
    if task.task.epochs > 1 and any(len(line.points) == 1 for line in lines):
        yield f"{_explain_single_point(task)}: a single point is the accuracy after the last one."


def _explain_single_point(task: TaskLaunches) -> str:
    if task.task.trainable != "head":
        return "Where more than the head is trained, earlier epochs are not evaluated"
    if task.task.batch_norm != "frozen":
        return "Where batch norm moves its statistics, earlier epochs are not evaluated"
    return "Some launches have no record of earlier epochs"
