"""`python -m bench` is `bench`."""

from bench.cli.entry_point import main

main()
