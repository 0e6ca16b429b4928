"""The Data page and its widgets."""
