"""The pages that only the site has: they are made when it is built."""
