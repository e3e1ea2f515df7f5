"""What mitmweb and flow files get of the gateway's flows: copies without secrets, a comment, a marker, the edits."""

from __future__ import annotations

from mitmproxy import ctx, hooks, http

from addons.inspect.masking import mask_body, mask_fields, mask_target
from addons.inspect.trace import KEY, comment_of, marker_of, trace_of
from addons.pipeline.exchange import Exchange


class FlowObserver:
    """An `engine.state.Observer`."""

    def shown_request(self, request: http.Request) -> http.Request:
        """A copy with masked headers and query. The body is hidden once it has been sent."""
        shown = request.copy()
        shown.headers = http.Headers(mask_fields(request.headers.fields))
        shown.path = mask_target(request.path)
        return shown

    def shown_response(self, response: http.Response, path: str) -> http.Response:
        """A copy with masked headers and body."""
        shown = response.copy()
        shown.headers = http.Headers(mask_fields(response.headers.fields))
        raw = response.raw_content
        if raw and "content-encoding" not in response.headers:
            shown.data.content = mask_body(raw, path)
        return shown

    def hide_body(self, request: http.Request) -> None:
        """Mask the body in place: nothing reads it any more."""
        raw = request.raw_content
        if raw and "content-encoding" not in request.headers:
            request.data.content = mask_body(raw, request.path)

    def note(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Comment, marker and edits as they are now."""
        trace = trace_of(exchange)
        flow.metadata[KEY] = trace
        flow.comment = comment_of(trace)
        if not flow.marked:
            flow.marked = marker_of(trace)

    async def finished(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The note as it is when everything is done, and mitmweb told of it."""
        self.note(flow, exchange)
        await ctx.master.addons.trigger_event(hooks.UpdateHook([flow]))
        view = ctx.master.addons.get("view")
        if view is not None:
            view.update([flow])
