"""Reads Git repositories: the newest commit of a branch, and the files in some of its folders."""
