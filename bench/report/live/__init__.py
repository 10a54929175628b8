"""What is shown while a command measures: live on a terminal, in lines elsewhere, or as JSON lines for a program."""
