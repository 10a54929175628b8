"""Publishing: a static site over all runs and baselines of a results folder."""
