"""What things are: recipes, events, runs, problems. No Qt, no torch, no I/O beyond the run folder."""
