"""The tests; each worker of pytest-xdist is one of as many as there are cores, so it has one thread."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded, which is later
