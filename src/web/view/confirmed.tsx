import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { asRefused, type Refused } from "./node-client.ts";
import { RefusalNote } from "./pieces.tsx";

interface ConfirmedProps {
  readonly name: string;
  /** Whether a reason has to be given; it goes into the log and the receipts. */
  readonly asksWhy?: boolean;
  /** What will happen. */
  readonly children: ComponentChildren;
  act(reason: string): Promise<unknown>;
  onDone(): void;
}

/** A button that says what will happen and asks again before it does. */
export function Confirmed({ name, asksWhy = false, children, act, onDone }: ConfirmedProps) {
  const [isAsking, setAsking] = useState(false);
  const [isActing, setActing] = useState(false);
  const [reason, setReason] = useState("");
  const [refused, setRefused] = useState<Refused | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const wasAsking = useRef(false);
  useLayoutEffect(() => {
    if (isAsking) form.current?.querySelector<HTMLElement>("input, button")?.focus();
    else if (wasAsking.current) opener.current?.focus();
    wasAsking.current = isAsking;
  }, [isAsking]);
  const close = () => {
    setAsking(false);
    setRefused(null);
  };
  const confirm = async () => {
    setActing(true);
    setRefused(null);
    try {
      await act(reason);
      close();
      onDone();
    } catch (error) {
      setRefused(asRefused(error));
    }
    setActing(false);
  };
  const word = name.toLowerCase();
  if (!isAsking)
    return (
      <button ref={opener} type="button" class="danger" onClick={() => setAsking(true)}>
        {name}…
      </button>
    );
  return (
    <form
      ref={form}
      class="confirm"
      aria-label={name}
      onKeyDown={(event) => event.key === "Escape" && close()}
      onSubmit={(event) => {
        event.preventDefault();
        void confirm();
      }}
    >
      <p>{children}</p>
      {asksWhy && (
        <div class="field wide">
          <label for={`${word}-reason`}>Why, for the log and the receipts</label>
          <input
            id={`${word}-reason`}
            type="text"
            required
            maxLength={200}
            autocomplete="off"
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </div>
      )}
      <RefusalNote refused={refused} />
      <div class="actions">
        <button type="submit" class="danger" disabled={isActing}>
          {isActing ? "…" : `${name} it`}
        </button>
        <button type="button" onClick={close}>
          Keep it
        </button>
      </div>
    </form>
  );
}
