"""Small inputs of the kinds that people reported, each with what has to happen to it."""
