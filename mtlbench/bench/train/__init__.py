"""Training speed compared with other libraries: the same rows, architecture, batch and optimiser.

Each library trains in its own process with one thread, through its own trainer and loader, in turns;
processor time is compared, since other load on the machine disturbs it least. The floor is the time of the
matrix products alone at this machine's rate. Test AUC is reported too, so that speed is not bought with
quality. The whole table is compared by wall time, with all cores for each library.
"""
