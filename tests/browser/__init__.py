"""JupyterLab in a real browser, driven over Chrome's DevTools protocol."""
