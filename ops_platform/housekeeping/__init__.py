"""What keeps the platform itself in order: failure notices and retention of Dagster's own history."""
