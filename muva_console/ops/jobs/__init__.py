"""Jobs: acts in a process of their own, which go on whatever becomes of the terminal."""
