"""What happens to a run: it is created, started, followed, told to stop, found again. No Qt, no torch."""
