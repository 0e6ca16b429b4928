"""What columns mean: recognising roles, and reading each kind of row into an example."""
