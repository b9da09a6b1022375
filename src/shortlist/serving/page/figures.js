// Figures worked out of the counts that the service gives.

const WATCHING = new Set(["/", "/owner", "/stats", "/model", "/catalogue", "/metrics", "/version", "/openapi.json", "-"]);

/** Whether a route answers somebody, rather than shows how the service is. */
export const answers = ({ route }) =>
  !WATCHING.has(route) && !route.startsWith("/page/") && !route.startsWith("/health/");

export const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);

export const requests = (routes) =>
  total(routes.filter(answers).map((one) => one.answered + one.refused + one.failed));

/** Counts by the bounds of a route, since an earlier look where there is one. */
export function times(stats, before, route) {
  const of = (look) => look?.routes.find((one) => one.route === route)?.seconds ?? [];
  const now = of(stats);
  const then = of(before);
  return now.map((count, n) => count - (then[n] ?? 0));
}

/** The time, in milliseconds, that a share of requests stayed under; null of none. Between two bounds a line is drawn. */
export function percentile(bounds, counts, share) {
  const all = total(counts);
  if (!all) return null;
  let below = 0;
  for (const [n, count] of counts.entries()) {
    if (below + count >= share * all && count) {
      const low = n ? bounds[n - 1] : 0;
      const high = bounds[n] ?? bounds.at(-1); // beyond the last bound nothing is known
      return 1000 * (low + ((high - low) * (share * all - below)) / count);
    }
    below += count;
  }
  return 1000 * bounds.at(-1);
}

export const milliseconds = (value) =>
  value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ms`;

/** Requests a second between each two looks that follow each other. */
export function rates(looks) {
  return looks.slice(1).map((look, n) => {
    const seconds = look.time - looks[n].time;
    const made = requests(look.routes) - requests(looks[n].routes);
    return { time: look.time, rate: seconds > 0 && made >= 0 ? made / seconds : 0 };
  });
}
