"""From a request to a plan: tasks, suites, variants, and the knobs that this machine supports."""
