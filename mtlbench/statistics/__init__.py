"""From scores to verdicts: influences, variance components, multiplicity, equivalence, power.

Pure functions over arrays; no files, no torch. Each module gives the formulas that it computes, their units
and sources, and the failure that it guards against.
"""
