"""What a watcher notes: events and their counts, where trouble begins, and what each kind of trouble is."""
