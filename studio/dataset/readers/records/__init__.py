"""Records in JSON that are laid out in a way of their own: each layout gives rows, or nothing."""
