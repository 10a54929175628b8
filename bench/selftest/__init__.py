"""The harness under test on this machine."""
