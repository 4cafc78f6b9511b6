"""A user's own table as a dataset: one card, no Python."""
