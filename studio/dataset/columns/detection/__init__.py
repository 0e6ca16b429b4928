"""Finding out which column is what, from the contents first and the names second."""
