"""What people see: each page is a view that asks, draws and calls."""
