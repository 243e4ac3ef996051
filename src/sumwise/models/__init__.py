"""Questions, answers and steps of each kind of model; pure."""
