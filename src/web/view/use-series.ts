import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { appendSeries, lastStepOf, type Series } from "../series.ts";
import { onHappening } from "./live.ts";
import { asRefused, call, type Refused, wasCancelled } from "./node-client.ts";
import { useThrottled } from "./use-answer.ts";

/** Points asked for at once. */
const askedPoints = 1_500;
/** Asked again this often where events are late: a run of another process, a lost connection. */
const everyMs = 5_000;

export interface LiveSeries {
  readonly series: Series | null;
  readonly refused: Refused | null;
}

/** A run's curves, which grow while it runs: only what came after the last step is fetched. */
export function useSeries(run: string | null, isActive: boolean): LiveSeries {
  const [state, setState] = useState<LiveSeries>({ series: null, refused: null });
  const series = useRef<Series | null>(null);
  const asking = useRef<AbortController | null>(null);
  const isOutdated = useRef(false);
  const fetchFrom = useCallback(
    (isWhole: boolean) => {
      if (run === null) return;
      if (asking.current !== null) {
        isOutdated.current = true;
        return;
      }
      const controller = new AbortController();
      asking.current = controller;
      isOutdated.current = false;
      const after = isWhole ? 0 : lastStepOf(series.current);
      const parameters = { run, points: askedPoints, ...(after > 0 ? { after } : {}) };
      call<Series>("run/series", parameters, controller.signal)
        .then((answer) => {
          if (controller.signal.aborted) return;
          series.current = after > 0 ? appendSeries(series.current, answer) : answer;
          setState({ series: series.current, refused: null });
        })
        .catch((error: unknown) => {
          if (wasCancelled(error) || controller.signal.aborted) return;
          setState({ series: series.current, refused: asRefused(error) });
        })
        .finally(() => {
          if (asking.current !== controller) return;
          asking.current = null;
          if (isOutdated.current) grow();
        });
    },
    [run],
  );
  const grow = useThrottled(() => fetchFrom(false));
  const startOver = useThrottled(() => fetchFrom(true));
  useEffect(() => {
    series.current = null;
    fetchFrom(true);
    return () => {
      asking.current?.abort();
      asking.current = null;
    };
  }, [fetchFrom]);
  useEffect(
    () =>
      onHappening(({ type, subject }) => {
        // A run that goes on from a checkpoint takes steps anew.
        if (type === "reset" || (type === "run.started" && subject === run)) startOver();
        else if (subject === run && /^run\.(steps|evaluation|state)$/.test(type)) grow();
      }),
    [run, grow, startOver],
  );
  useEffect(() => {
    if (!isActive) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) grow();
    }, everyMs);
    return () => {
      clearInterval(timer);
      // The last steps of a run that has just ended.
      grow();
    };
  }, [isActive, grow]);
  return state;
}
