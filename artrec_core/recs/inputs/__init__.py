"""The tables of one run as aligned arrays, and what is computed from them before strategies score anything."""
