"""What the engine costs, beside a plain Django project and the floor (docs/performance.md)."""
