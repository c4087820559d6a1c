"""TOCTOU windows scheduled from outside the guest: a system call is stopped at a moment, its argument is changed."""
