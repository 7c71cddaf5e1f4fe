"""Everything the console knows and can do, without a terminal: no module here imports Textual."""
