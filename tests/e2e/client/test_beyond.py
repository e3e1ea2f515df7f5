"""Operations of the client beyond the specification's list, answered from the store, in strict mode."""

from __future__ import annotations

from typing import Any

from onlyfansapi import OnlyFansAPI

from tests.e2e.client.things import Things
from tests.e2e.waiting import until

PERIOD = {"start_date": "2020-01-01", "end_date": "2100-01-01"}


def test_analytics(client: OnlyFansAPI, t: Things) -> None:
    """All eight, over what the store has seen."""
    one: dict[str, Any] = {"account_ids": [t.account]}
    assert client.transactions.list(t.account, limit="100").data.list
    analytics = client.analytics
    assert analytics.summary.get_earnings_overview(**one, **PERIOD).total_accounts == 1
    assert len(analytics.summary.get_historical_performance(time_range="6m")) == 6
    a, b = {"start": "2025-01-01", "end": "2025-03-31"}, {"start": "2025-04-01", "end": "2025-06-30"}
    compared = analytics.summary.get_period_comparison(**one, period_a=a, period_b=b)
    assert len(compared.chart_data) == 3
    financial = analytics.financial
    assert financial.transactions.get_summary(**one, **PERIOD).succeeded_count is not None
    assert isinstance(financial.transactions.get_by_type(**one, **PERIOD), list)
    ahead = financial.get_forecast(
        **one, metric="revenue", model="linear_regression", historical_days=30, forecast_days=14
    )
    assert len(ahead.forecast) == 14
    assert len(financial.profitability.get_profitability(**one, month=1, year=2026).data) == 1
    months = financial.profitability.get_history(t.account, account_prefixed_id=t.account, months=4)
    assert len(months.data) == 4


def test_people(client: OnlyFansAPI, t: Things) -> None:
    """Profiles and a fan's summary, once the fan has been seen."""
    assert client.fans.list_all(t.account, limit=20).data.list
    client.users.retrieve(t.username, account=t.account)
    until_seen(client, t)
    assert client.profiles.retrieve(t.username).data.username == t.username
    assert client.search.profiles(query=t.username).data[0].username == t.username
    assert client.fans.summary.get_summary(t.fan, account=t.account).status == "completed"
    assert client.fans.summary.generate_summary(t.fan, account=t.account).status == "completed"


def until_seen(client: OnlyFansAPI, t: Things) -> None:
    """Rows are stored after the answer has gone out."""
    until(lambda: client.search.profiles(query=t.username).data)
