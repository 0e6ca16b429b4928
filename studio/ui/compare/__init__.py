"""The page on which methods are compared."""
