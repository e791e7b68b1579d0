"""How a user's file becomes prompts: bytes to text, text to entries, entries to prompts. Pure, but for reading."""
