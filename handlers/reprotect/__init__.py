"""The steps of the re-protection workflow, one module a step; the console shows the state of the same name."""
