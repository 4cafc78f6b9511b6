"""What went on inside a run, read off its result."""
