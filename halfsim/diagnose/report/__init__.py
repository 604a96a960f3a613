"""What a trace has to tell, as plain data, text, page and JSON: facts below, views above."""
