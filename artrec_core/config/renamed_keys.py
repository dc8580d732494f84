"""Keys that older recipes use: the error for an old key names the new one."""

# Old key -> new name of its last part. Positions in lists are left out.
RENAMED_KEYS = {
    "events.people": "users",
    "gate.min_people": "min_users",
    "rules.max_events_per_person_day": "max_events_per_user_day",
    "score.finalists": "candidates",
    "score.shard_people": "shard_users",
    "strategies.exploration.people": "max_users",
    "tune.grace_passes": "grace_epochs",
}


def renamed_key(location: tuple[int | str, ...]) -> str | None:
    """The new key in place of the key at this location of a recipe; None if it was not renamed."""
    old_key = ".".join(part for part in location if isinstance(part, str))
    if old_key not in RENAMED_KEYS:
        return None
    return ".".join(str(part) for part in (*location[:-1], RENAMED_KEYS[old_key]))
