"""What all backends on JAX share."""
