"""The Test page and its widgets."""
