"""Memory of a process that trains: blocks that are freed are kept for the next step."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_blocks() -> None:
    """Let glibc hold on to what it is given back; elsewhere nothing happens.

    By default it returns every large tensor to the system and asks for another one: a step would spend as
    long on the faults of new pages as on its layers' norms and activations. The process stays as large as it
    once was, which for one that trains is its usual size.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
