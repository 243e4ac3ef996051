"""What a model or a question would tell about rows and groups, in figures, and the policy that judges them."""
