"""Staging is healthy and serves what goes out."""
