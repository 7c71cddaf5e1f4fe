"""PM2 by its daemon's own sockets: the protocol, the allow-listed calls, the bus, the fallback."""
