"""Routes for whoever runs the service."""

from shortlist.errors import NoEarlierVersion, ShortlistError
from shortlist.serving import wire_operating
from shortlist.serving.events import StoreError
from shortlist.serving.http import Request, Response, Route, ok
from shortlist.serving.refusals import Refused
from shortlist.serving.service import Service


class Operating:
    """Health, counts, versions.

    Args:
        service: behind them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> tuple[Route, ...]:
        """All of them.

        Returns:
            Routes.
        """
        return (
            Route("GET", "/health/live", self.live, "Whether the process lives", scope=None,
                  answer=wire_operating.Health),
            Route("GET", "/health/ready", self.is_ready, "Whether requests are answered",
                  scope=None, answer=wire_operating.Health),
            Route("GET", "/metrics", self.metrics, "Counts and times for Prometheus"),
            Route("GET", "/version", self.version, "What answers", answer=wire_operating.Version),
            Route("POST", "/admin/reload", self.reload, "Take the bundle's current version",
                  scope="admin", answer=wire_operating.Version, refuses=(409, 507)),
            Route("POST", "/admin/rollback", self.rollback, "Go back to another version",
                  scope="admin", body=wire_operating.Rollback, answer=wire_operating.Version, refuses=(409, 507),
                  may_be_empty=True),
        )  # fmt: skip

    async def rollback(self, request: Request, asked: wire_operating.Rollback) -> Response:
        """Go back to another version of the bundle; it stays the current one for everybody.

        Args:
            request: is answered with what answers then.
            asked: the body.

        Returns:
            Version.

        Raises:
            Refused: there is no such or no earlier version, or it cannot be trusted.
            StoreError: what was posted since cannot be read.
        """
        try:
            await self._service.bundles.rollback(asked.version)
        except StoreError:
            raise  # it is no fault of the bundle
        except NoEarlierVersion:
            words = "there is no version before the current one; name a version to go to it"
            raise Refused(409, "bad_bundle", words) from None
        except ShortlistError as error:
            words = f"there is no such version, or it cannot be trusted: {error}"
            raise Refused(409, "bad_bundle", words) from None
        await self._service.bundles.everywhere()
        return await self.version(request)

    async def live(self, _: Request) -> Response:
        """The process lives.

        Returns:
            Health.
        """
        return ok(wire_operating.Health("live"))

    async def is_ready(self, _: Request) -> Response:
        """Whether requests are answered.

        Returns:
            Health, with 503 where they are not.
        """
        if self._service.ready:
            return ok(wire_operating.Health("ready"))
        return ok(wire_operating.Health("stopping"), 503)

    async def metrics(self, _: Request) -> Response:
        """Counts and times.

        Returns:
            Text for Prometheus.
        """
        service = self._service
        metrics, gauges = service.counted()
        text = metrics.text(gauges, service.running.version)
        return Response(text.encode(), kind="text/plain; version=0.0.4; charset=utf-8")

    async def version(self, request: Request) -> Response:
        """What answers.

        Args:
            request: of an admin is told why the last bundle was refused, with its path.

        Returns:
            Version.
        """
        service, running = self._service, self._service.running
        refused = service.bundles.reload_error
        if refused is not None and not request.is_admin:
            refused = "the last bundle offered was refused; the log, or a key of scope admin, says why"
        return ok(
            wire_operating.Version(
                service.package,
                running.recommender.name,
                service.settings.model_name,
                running.version,
                running.loaded,
                running.snapshot.n_users,
                running.snapshot.n_items,
                service.bundles.standings.versions(),
                refused,
            )
        )

    async def reload(self, request: Request) -> Response:
        """Take the bundle's current version, in every worker.

        Args:
            request: without a body.

        Returns:
            Version.

        Raises:
            Refused: the bundle cannot be trusted; the old one goes on answering.
            StoreError: what was posted since cannot be read.
        """
        try:
            await self._service.bundles.reload()
        except StoreError:
            raise  # it is no fault of the bundle
        except ShortlistError as error:
            await self._service.bundles.everywhere()  # an arm beside it may have been taken
            words = f"the bundle was not taken, the one before goes on answering: {error}"
            raise Refused(409, "bad_bundle", words) from None
        await self._service.bundles.everywhere()
        return await self.version(request)
