"""Lists, descriptions and pages of all that has a name, made from registries, docstrings and options."""

from mtlbench.catalogue.families import START
from mtlbench.catalogue.listing import catalogue
from mtlbench.catalogue.options import options
from mtlbench.catalogue.showing import show

__all__ = ["START", "catalogue", "options", "show"]
