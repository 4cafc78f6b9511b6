"""Memory of a training process: freed blocks are kept for the next step."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # from glibc's malloc.h


def keep_freed_blocks() -> None:
    """Make glibc keep freed memory for reuse; with another C library, do nothing.

    By default, glibc returns every large tensor to the system and requests memory anew: a step would spend as
    much time on page faults as on its layers' norms and activations. The process stays at its peak size,
    which for training is its usual size.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
