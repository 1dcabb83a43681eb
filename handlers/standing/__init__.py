"""What runs beside the workflows: the monitor and its helpers, the writer switch, the salvage, the bootstrap."""
