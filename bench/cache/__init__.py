"""What is kept between runs, outside the repository."""
