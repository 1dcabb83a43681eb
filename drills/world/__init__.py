"""The machine that the lab runs on: clock, network, databases, DNS and clients; none of it knows AWS."""
