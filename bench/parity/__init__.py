"""The proof that two backends run the same fine-tune."""
