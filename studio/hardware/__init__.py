"""What the machine has: cards, memory, and what limits them now."""
