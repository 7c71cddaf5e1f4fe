"""Jobs: their files, and plans that are made again."""
