"""System calls as data: how each is made, in which variants, and what its event must say."""
