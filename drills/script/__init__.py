"""What a drill does, from the outage to the verdict."""
