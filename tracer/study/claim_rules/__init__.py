"""The rules that settle the source study's claims, by what they rest on; pure."""
