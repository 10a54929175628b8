"""Figures drawn with matplotlib, as files: the same figures as in the pages, in the same colours.

`bench.report.plots.plot_file.write_plot` draws any figure of `bench.report.figures.figure`. matplotlib takes half a
second to import, so only what is called here imports it.
"""
