"""The isolated process that runs one launch of one case: pytest and pytest-benchmark around one framework."""
