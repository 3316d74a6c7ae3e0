"""Service level objectives: exact counts per window, budgets, rules. Knows nothing of backups or requests."""
