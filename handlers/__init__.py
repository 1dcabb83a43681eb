"""What runs in Lambda: the steps of the two workflows, and what runs beside them."""
