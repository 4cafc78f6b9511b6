"""mtlbench: does one multi-task model beat your single-task models, and how sure is that?"""

__version__ = "0.1.0"
