"""The Python API: `bench.load` and `bench.run`, and the results that both return."""
