"""The endpoints, one file per concern.

Each endpoint is an `Operation` for the OpenAPI document and a function that answers.
"""
