"""Runs: train, evaluate and store, and which of them are done already."""
