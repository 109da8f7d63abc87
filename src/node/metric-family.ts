import type { MetricFamily, MetricSample } from "#src/surface/http/parts.ts";

/** A family of a scrape: what is counted or measured, and its values by label. */
export function family(
  kind: MetricFamily["kind"],
  name: string,
  help: string,
  samples: readonly MetricSample[],
): MetricFamily {
  return { kind, name, help, samples };
}
