"""The command line: a command parses, calls one function, prints. Nothing heavy loads before it is needed."""

# Imported in the order in which --help lists the commands.
from mtlbench.cli import data, experiments, look, bench  # noqa: I001
from mtlbench.cli.app import app
from mtlbench.cli.main import main

__all__ = ["app", "bench", "data", "experiments", "look", "main"]
