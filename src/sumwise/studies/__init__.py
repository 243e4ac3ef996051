"""A study on a real machine: writing one, a site's files, data, approvals and policy, the coordinator, the result."""
