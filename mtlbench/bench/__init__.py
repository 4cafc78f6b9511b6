"""Benchmarks of speed; results go to `results/speed/`."""
