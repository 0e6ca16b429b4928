"""The Export page and its widgets."""
