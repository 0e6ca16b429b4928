"""The strip at the bottom of the window: what each card holds, and for whom."""
