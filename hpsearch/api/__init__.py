"""What `hpsearch` offers in Python: each function forwards to where the work is done.

Nothing is imported before it is needed, so that `import hpsearch` takes no time.
"""
