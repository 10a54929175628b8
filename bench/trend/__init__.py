"""One figure over many runs of a machine."""
