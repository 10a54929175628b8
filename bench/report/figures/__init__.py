"""Figures as data, independent of the format that they are drawn in.

A figure is a frozen value of `bench.report.figures.figure`: `ForestPlot`, `DotPlot`, `StackedBars`, `GroupedBars`,
`LinePlot`, `HeatMap` or `Waterfall`. `bench.report.html` draws it as SVG in a page, `bench.report.plots` with
matplotlib. Every figure has a title, a sentence `how_to_read` and titles of its axes with their units; every series
names its `case` (`pytorch/default`), whose colour and marker come from `bench.report.figures.case_colours` alone.

The functions that build the figures of a run take a task's launches, `bench.analysis.launches.TaskLaunches`:

    from bench.report.figures.ratio_figure import build_ratio_plot

    plot = build_ratio_plot(task, "pytorch", "pipeline")
"""
