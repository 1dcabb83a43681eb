"""The steps of the re-protection workflow, one module per step; the console shows the state of the same name."""
