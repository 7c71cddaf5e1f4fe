"""What is going out, and the checks that look at it before and after it goes."""
