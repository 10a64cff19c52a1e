"""The source study repeated: sweeps, what they show and how sure it is; pure but for the sweep itself."""
