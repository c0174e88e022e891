"""What the machine has, and how to use it: threads, memory."""

from __future__ import annotations

import ctypes
import sys

# mallopt(3): parameters of glibc's allocator, and the values that keep freed memory for the next tensor
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KEPT = {M_MMAP_THRESHOLD: 2**30, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**26}


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory instead of giving it back to the kernel after each large tensor.

    An update allocates and frees the same large tensors as the one before it; fetching them from the kernel
    costs a page fault for every 4 kB. Gives whether the C library knows how: glibc does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in KEPT.items())
