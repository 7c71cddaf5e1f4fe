"""Plans: a way back, a window to deploy in, somebody on call."""
