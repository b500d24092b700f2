"""Where data and weights come from: pinned registry packages, a folder of files, or code (the
offline fixture).
"""
