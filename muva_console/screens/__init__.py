"""What an engineer looks at, a file a mode."""
