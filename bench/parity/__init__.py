"""The proof of sameness: that two cases run the same fine-tune."""
