"""Ways to train: how the base is loaded, which weights change, how they are saved. One file a method."""
