"""What an engine does alike for every backend that runs on it."""
