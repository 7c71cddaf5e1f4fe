"""Parts that several screens use. They know readings, never links."""
