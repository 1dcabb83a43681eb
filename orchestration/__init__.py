"""What is deployed: settings, the specification, the Lambda packages, and the CDKTF constructs and stacks."""
