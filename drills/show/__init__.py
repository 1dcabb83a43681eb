"""What people see of a drill: the live timeline, the report."""
