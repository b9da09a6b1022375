"""Public contract tests, and toy worlds whose right answer is known."""
