"""What a chat asks of runs: where its model may be loaded, which others share the base, and what is left of it."""
