"""Floors: models without a network, on the same matrices. A multi-task network should beat them."""
