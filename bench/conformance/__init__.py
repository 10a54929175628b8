"""Conformance: whether a backend keeps the contract, trains the same as the reference, and does nothing forbidden."""
