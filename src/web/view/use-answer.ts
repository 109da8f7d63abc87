import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asRefused, call, type Refused, wasCancelled } from "./node-client.ts";
import { type Happening, onHappening } from "./live.ts";

export interface Answer<T> {
  /** The latest answer; what was there stays while a newer one is on its way. */
  readonly value: T | null;
  readonly refused: Refused | null;
  refresh(): void;
}

export interface AnswerOptions {
  /** Asks again after these happenings, at most twice a second. */
  readonly on?: (happening: Happening) => boolean;
  /** Asks again this often while the page is seen. */
  readonly everyMs?: number;
}

const leastMs = 500;

/** Calls back at most once per `leastMs`: at once, and then once more at the end of the wait. */
export function useThrottled(action: () => void, ms = leastMs): () => void {
  const latest = useRef(action);
  latest.current = action;
  const state = useRef({ timer: 0, lastMs: 0 });
  useEffect(() => () => clearTimeout(state.current.timer), []);
  return useCallback(() => {
    const { timer, lastMs } = state.current;
    if (timer !== 0) return;
    const run = () => {
      state.current.timer = 0;
      state.current.lastMs = performance.now();
      latest.current();
    };
    state.current.timer = setTimeout(run, Math.max(0, lastMs + ms - performance.now()));
  }, [ms]);
}

/** The answer of a command, kept current. */
export function useAnswer<T>(
  name: string | null,
  parameters: object = {},
  { on, everyMs }: AnswerOptions = {},
): Answer<T> {
  const key = `${name ?? ""} ${JSON.stringify(parameters)}`;
  const [state, setState] = useState<{ key: string; value: T | null; refused: Refused | null }>({
    key,
    value: null,
    refused: null,
  });
  const asking = useRef<AbortController | null>(null);
  const isOutdated = useRef(false);
  const ask = useCallback(() => {
    if (name === null) return;
    if (asking.current !== null) {
      // A slow answer is waited for, or a busy node would never get to give one.
      isOutdated.current = true;
      return;
    }
    const controller = new AbortController();
    asking.current = controller;
    isOutdated.current = false;
    call<T>(name, parameters, controller.signal)
      .then((value) => {
        if (!controller.signal.aborted) setState({ key, value, refused: null });
      })
      .catch((error: unknown) => {
        if (wasCancelled(error) || controller.signal.aborted) return;
        const refused = asRefused(error);
        setState((old) => ({ key, value: old.key === key ? old.value : null, refused }));
      })
      .finally(() => {
        if (asking.current !== controller) return;
        asking.current = null;
        if (isOutdated.current) refresh();
      });
    // The key stands for name and parameters.
  }, [key]);
  const refresh = useThrottled(ask);
  useEffect(() => {
    ask();
    return () => {
      asking.current?.abort();
      asking.current = null;
    };
  }, [ask]);
  const wanted = useRef(on);
  wanted.current = on;
  useEffect(
    () =>
      onHappening((happening) => {
        if (happening.type === "reset" || wanted.current?.(happening)) refresh();
      }),
    [refresh],
  );
  useEffect(() => {
    if (everyMs === undefined) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) refresh();
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, refresh]);
  const current = state.key === key ? state : { value: null, refused: null };
  return { value: current.value, refused: current.refused, refresh };
}
