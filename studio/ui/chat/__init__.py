"""The Chat page and its widgets."""
