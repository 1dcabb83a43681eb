"""What a drill saw, what became of every write, what must hold, and the result that says whether it did."""
