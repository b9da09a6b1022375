"""Memory of a bundle that answers no more, given back to the system."""

import ctypes
import sys


def give_back() -> None:
    """Ask the C library for what it keeps after it was freed: after a swap, that is a whole bundle."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)
