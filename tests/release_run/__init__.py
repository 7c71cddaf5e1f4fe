"""Checks of what goes out and what has gone out, on real parts."""
