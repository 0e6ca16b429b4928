"""Files in: every kind of file that people bring, as a table of named columns."""
