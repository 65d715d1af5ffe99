"""What people see of an evaluation: tables beside published figures, plots, a page."""
