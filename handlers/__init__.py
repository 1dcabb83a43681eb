"""What runs in Lambda: one module per step of the workflow, named as its state is in the console."""
