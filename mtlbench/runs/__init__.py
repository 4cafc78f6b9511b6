"""Runs: train, evaluate and store them, and find those already done."""
