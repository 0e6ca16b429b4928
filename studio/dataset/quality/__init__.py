"""What is wrong with examples, and the fixes for it."""
