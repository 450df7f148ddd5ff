"""Who is alive and who cleans up."""
