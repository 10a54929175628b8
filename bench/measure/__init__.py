"""Measuring: workers started, rounds interleaved, records built, runs resumed."""
