"""The steps of the failover workflow, one module a step; the console shows the state of the same name."""
