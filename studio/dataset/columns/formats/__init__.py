"""The formats in which examples are kept: pairs, conversations, turns in rows, choices, labels."""
