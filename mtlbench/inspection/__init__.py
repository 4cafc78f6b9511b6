"""What happened inside a run, read from its result."""
