"""Floors: models without a network on the same matrices. A multi-task network below them is no bargain."""
