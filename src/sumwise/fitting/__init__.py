"""From formula and data to a fit: the steps that all models share, and what each brings."""
