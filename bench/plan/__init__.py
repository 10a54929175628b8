"""From a request to a plan: tasks, suites, variants, and what this machine supports."""
