"""How statements and their values go to PostgreSQL, and what they answer comes back."""
