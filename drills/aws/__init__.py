"""What moto lacks of AWS, each behaviour modelled in a small module with its source and its limits."""
