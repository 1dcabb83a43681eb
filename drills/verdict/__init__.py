"""What a drill has seen, what became of every write, what must hold, and the result that says so."""
