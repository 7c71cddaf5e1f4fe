"""Environment variables: what the code reads, what the template names, what the host's file lacks."""
