"""What the engine costs, beside a plain Django project and beside the floor (docs/performance.md)."""
