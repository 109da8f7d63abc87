import { useEffect, useState } from "preact/hooks";

/** A value that parts of the page watch. */
export class Cell<T> {
  private readonly watchers = new Set<() => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set value(next: T) {
    if (Object.is(next, this.current)) return;
    this.current = next;
    for (const watcher of this.watchers) watcher();
  }

  /** Calls back after every change until the returned function is called. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }
}

/** The value of a cell; the component is drawn again when it changes. */
export function useCell<T>(cell: Cell<T>): T {
  const [value, draw] = useState(cell.value);
  useEffect(() => {
    // It may have changed between the first drawing and now.
    draw(cell.value);
    return cell.watch(() => draw(cell.value));
  }, [cell]);
  return value;
}
