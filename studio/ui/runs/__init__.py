"""The Runs page and its widgets."""
