"""The drill estate: a small but real estate on this machine to practise on, and the faults broken into it.

Everything listens on loopback and lives in one folder; `estate.up` makes it, `estate.down` removes it.
Nothing here is imported by the console itself, only by `muva drill` and `muva demo`.
"""
