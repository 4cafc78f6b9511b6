"""How fast training is, beside the libraries of the field: the same rows, architecture, batch and optimiser.

Everyone trains in a process of its own with one thread, through its own trainer and loader, in turns; what is
compared is processor time, which neighbours on the machine disturb least. The floor is what the matrix
products alone would take at the rate that this machine multiplies. Test AUC stands beside it, so that speed
is not bought with quality. The whole table is compared by wall time, everybody with all cores.
"""
