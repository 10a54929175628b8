"""Formats that other programs read, one file each; they are registered in `bench.report.exporters`."""
