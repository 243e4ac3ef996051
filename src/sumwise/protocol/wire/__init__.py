"""Messages as bytes: one canonical layout, each model's questions and answers in it, and the masks of secure sums."""
