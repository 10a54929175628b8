"""What this machine is, and what else it does while it is measured."""
