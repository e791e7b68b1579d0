"""What others install: wheels of programs, and the package itself, in environments of their own."""
