"""The commands, one a file: they say things to people, and leave work to the other modules."""
