"""The suites that come with the project."""
