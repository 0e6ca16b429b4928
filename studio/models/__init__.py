"""Base models without torch: where they are, what their config says, and which ones come as a list."""
