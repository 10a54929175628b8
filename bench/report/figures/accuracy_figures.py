"""The figures of a task's whole fine-tunes: loss over epochs and over seconds, and accuracy over seconds."""

from __future__ import annotations

from bench.analysis.launches import TaskLaunches
from bench.analysis.statistics import Interval
from bench.report.figures.figure import Line, LinePlot, Point
from bench.report.tables.accuracy_table import compute_accuracy
from bench.report.tables.cost_tables import compute_wall_seconds


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
    """Build the test accuracy after the last epoch, one point per case; None with random weights."""
    lines = tuple(
        Line(case.label, (_to_point(task.task.epochs, accuracy),))
        for case in task.cases
        if (accuracy := compute_accuracy(case))
    )
    if not lines:
        return None
    return LinePlot(
        title="Test accuracy over epochs",
        how_to_read=(
            "A marker is the share of test images that a case classifies correctly after its last epoch, where it is "
            "evaluated; the line through it is the 95 % interval. Markers at one height: the cases learn equally well."
        ),
        x_title="epochs of training",
        y_title="test accuracy, %",
        lines=lines,
        y_unit=" %",
    )


def build_accuracy_by_seconds(task: TaskLaunches) -> LinePlot | None:
    """Build the test accuracy over the seconds of the whole fine-tune: one point per fine-tune's case."""
    lines = []
    for case in task.cases:
        accuracy, seconds = compute_accuracy(case), compute_wall_seconds(case)
        if accuracy and seconds is not None:
            lines.append(Line(case.label, (_to_point(seconds, accuracy),)))
    if not lines:
        return None
    return LinePlot(
        title="Test accuracy over seconds",
        how_to_read=(
            "A marker is where a case stands when its whole fine-tune is over: left is sooner, up is more accurate. "
            "The line through it is the 95 % interval of the accuracy."
        ),
        x_title="seconds from the start of the process to the end of the evaluation, median fine-tune",
        y_title="test accuracy, %",
        lines=tuple(lines),
        y_unit=" %",
    )


def _to_point(x: float, accuracy: Interval) -> Point:
    low, high = (None if end is None else 100 * end for end in (accuracy.low, accuracy.high))
    return Point(x, 100 * accuracy.estimate, low, high)
