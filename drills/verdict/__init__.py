"""What a drill is judged by: the books of the bank, the moves of the writer, the result."""
