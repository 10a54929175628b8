"""Code that several backends on the same engine share."""
