"""`bench roofline`: how near each case comes to what this machine can do, and what keeps it from coming nearer."""

from __future__ import annotations

from bench.cli.option_groups import CaseOptions, DataOptions, EffortOptions, TaskOptions, request


def roofline(
    *,
    task: TaskOptions = TaskOptions(),
    case: CaseOptions = CaseOptions(),
    data: DataOptions = DataOptions(),
    effort: EffortOptions = EffortOptions(),
) -> int:
    """Show how near each case comes to what this machine can do.

    It measures the machine's rates, and shows what bounds each case.
    """
    from bench.roofline.roofline_run import show_roofline

    return show_roofline(effort.wait, request(task, case, data, effort))
