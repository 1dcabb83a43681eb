"""The steps of the failover workflow, one module per step; the console shows the state of the same name."""
