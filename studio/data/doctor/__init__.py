"""The doctor: what is wrong with examples, in sentences, and repairs that can be undone."""
