"""The worker: the isolated process that runs one launch of one case in one framework, under pytest-benchmark."""
