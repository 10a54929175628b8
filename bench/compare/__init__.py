"""Stored runs side by side: of other days, machines, versions or colleagues; nothing is measured."""
