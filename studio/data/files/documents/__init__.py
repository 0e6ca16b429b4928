"""Documents without questions, cut into passages."""
