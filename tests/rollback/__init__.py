"""Going back: the host's script with real git, whatever it is killed at; the act on an estate."""
