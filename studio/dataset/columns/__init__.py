"""Which column is what, and what a row then means."""
