"""Files in: every format becomes a table of text."""
