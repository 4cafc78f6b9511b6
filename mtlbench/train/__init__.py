"""Training: matrices to weights, one loop over a replica axis. It never opens the test split."""
