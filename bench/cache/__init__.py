"""What is kept between runs, outside the repository: the home, and the cache of features."""
