"""Ways to change a model: which weights are trained and how the base is stored."""
