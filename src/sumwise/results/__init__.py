"""What a fit answers, and how it prints."""
