"""Extraction: how a worker obtains cached features, in the form that is the fastest on this machine."""
