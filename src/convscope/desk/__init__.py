"""What every live host needs, whether a server or a notebook: passes kept, questions answered, files made.

The hosts differ in how questions come in and answers go out, and in nothing else.
"""
