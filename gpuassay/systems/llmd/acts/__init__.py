"""What scenarios do with endpoint pickers, gateways and model servers."""
