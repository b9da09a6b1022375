"""The HTTP service over a bundle. Needs the extra ``serve``."""
