"""Amazon reviews as McAuley's group published them in 2014, 2018 and 2023."""
