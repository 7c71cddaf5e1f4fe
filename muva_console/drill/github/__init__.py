"""The estate's stand-in for GitHub's REST API, and for the place that Slack's webhooks post to.

It serves the estate's own bare repository and a file of pull requests and reviews, as GitHub describes
its API (npm ``@octokit/openapi``): the tests hold every response against that description. Workflows do
not run here yet: `app.routes` is where their addresses join, `records.State` where their runs are kept.
"""
