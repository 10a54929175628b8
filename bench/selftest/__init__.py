"""The self-test: the harness itself is tested on this machine."""
