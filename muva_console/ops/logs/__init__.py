"""Logs of processes: chunks into lines, history and live as one stream, a ring of lines and its filters."""
