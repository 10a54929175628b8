"""Trends: how a figure develops over many runs of a machine."""
