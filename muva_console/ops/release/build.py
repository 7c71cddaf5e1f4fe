"""The build and the tests of the commit that goes out, in a clean worktree."""
