"""Teams have unique slugs and a limit that can be changed."""

from __future__ import annotations

import pytest

from ofapi_store.engine import Store
from ofapi_store.errors import BadValue
from ofapi_store.queries import teams
from ofapi_store.queries.teams import TeamRow


def test_team_is_found_by_id_and_slug(store: Store, team: TeamRow) -> None:
    """And not by anything else."""
    with store.read() as conn:
        assert teams.by_id(conn, team.id) == teams.by_slug(conn, team.slug) == team
        assert teams.by_id(conn, "team_none") is None
        assert teams.list_all(conn) == [team]


@pytest.mark.parametrize("slug", ["", "A", "a b", "-a", "a--b", "ä", "x" * 81])
def test_malformed_slug(store: Store, slug: str) -> None:
    """Slugs appear in URLs and file names."""
    with pytest.raises(BadValue, match="slug"), store.write() as conn:
        teams.create(conn, slug=slug)


def test_taken_slug_and_limit(store: Store, team: TeamRow) -> None:
    """A second team of the slug is refused; the limit of a team that does not exist is False."""
    with store.write() as conn:
        with pytest.raises(BadValue, match="taken"):
            teams.create(conn, slug=team.slug)
        assert teams.set_requests_per_minute(conn, team.id, 7)
        assert not teams.set_requests_per_minute(conn, "team_none", 7)
        assert teams.by_id(conn, team.id).requests_per_minute == 7  # type: ignore[union-attr]
