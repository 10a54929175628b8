"""Which networks can every engine build, and are they the same? `bench coverage`."""
