"""What bounds a case: its work counted, the machine's rates measured, and the two compared."""
