import { type ComponentChildren, isValidElement } from "preact";
import { useEffect, useState } from "preact/hooks";
import { formatPercent, missing, sentenceOf } from "../format.ts";
import { shareDone } from "../progress.ts";
import type { Alert } from "../protocol.ts";
import { hashOf } from "../router.ts";
import type { Refused } from "./node-client.ts";

/** What the node says no to: what, why, and one thing to try. */
export function RefusalNote(props: {
  readonly refused: Pick<Refused, "code" | "message" | "hint"> | null;
}) {
  const { refused } = props;
  if (refused === null) return null;
  return (
    <div class="note critical" role="alert">
      <p>
        <strong>
          <Sentence text={refused.message} />
        </strong>{" "}
        <code>{refused.code}</code>
      </p>
      {refused.hint !== "" && (
        <p>
          <Sentence text={refused.hint} />
        </p>
      )}
    </div>
  );
}

/**
 * A refusal's words as a sentence. They are written without a full stop, for they stand in lines of
 * many kinds, and with commands between backticks.
 */
function Sentence({ text }: { readonly text: string }) {
  if (text === "") return null;
  const parts = sentenceOf(text).split("`");
  return (
    <>{parts.map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>
  );
}

export function AlertList(props: {
  readonly alerts: readonly Alert[];
  readonly isOfRun?: boolean;
}) {
  const { alerts, isOfRun = true } = props;
  if (alerts.length === 0) return null;
  return (
    <ul class="alerts" aria-label="Alerts">
      {alerts.map(({ kind, severity, subject, message, hint }) => (
        <li
          key={`${kind} ${subject ?? ""}`}
          class={`note ${severity === "warning" ? "warning" : "critical"}`}
        >
          <p>
            <strong>
              <Sentence text={message} />
            </strong>{" "}
            <code>{kind}</code>
          </p>
          <p>
            <Sentence text={hint ?? ""} />{" "}
            {subject && isOfRun && <a href={hashOf({ view: "run", run: subject })}>See the run</a>}
          </p>
        </li>
      ))}
    </ul>
  );
}

/** The room an answer will take, so that nothing jumps when it comes. */
export function Loading({ what }: { readonly what: string }) {
  return (
    <p class="loading" role="status">
      Loading {what}…
    </p>
  );
}

export function StateMark({ state }: { readonly state: string }) {
  return <span class={`state state-${state}`}>{state.replaceAll("_", " ")}</span>;
}

export function Progress(props: {
  readonly name: string;
  readonly step: number;
  readonly steps: number;
}) {
  const share = shareDone(props.step, props.steps);
  return (
    <span class="progress">
      <progress
        max={1}
        value={share}
        aria-label={`Progress of ${props.name}`}
        aria-valuetext={`${Math.round(share * 100)} %`}
      />
      <span class="figure">{formatPercent(share * 100)}</span>
    </span>
  );
}

/** A figure with its name, as on an instrument. */
export function Reading(props: {
  readonly label: string;
  readonly children: ComponentChildren;
  readonly note?: string | undefined;
}) {
  return (
    <div class="reading">
      <dt>{props.label}</dt>
      <dd>
        <span class="figure">{props.children}</span>
        {props.note && <small>{props.note}</small>}
      </dd>
    </div>
  );
}

/** Names and values in two columns; `null` stands for what is not known. */
export function Facts({ facts }: { readonly facts: readonly (readonly [string, unknown])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="figure">{isValidElement(value) ? value : factText(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

export function factText(value: unknown): string {
  if (value === null || value === undefined || value === "") return missing;
  if (Array.isArray(value) && value.every((each) => typeof each !== "object")) {
    return value.join(", ") || missing;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** JSON to read and to copy. */
export function JsonBlock(props: { readonly value: unknown; readonly label: string }) {
  const text = JSON.stringify(props.value, null, 2);
  return (
    <div class="json">
      <CopyButton text={text} label={`Copy ${props.label}`} />
      <pre class="scroll" tabIndex={0} role="region" aria-label={props.label}>
        {text}
      </pre>
    </div>
  );
}

/** Puts a text where it can be pasted from, and says so. */
export function CopyButton(props: { readonly text: string; readonly label: string }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (said === "") return undefined;
    const timer = setTimeout(() => setSaid(""), 2_000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = () =>
    navigator.clipboard.writeText(props.text).then(
      () => setSaid("copied"),
      () => setSaid("the browser forbids it"),
    );
  return (
    <button type="button" class="small copy" aria-label={props.label} onClick={() => void copy()}>
      <span aria-live="polite">{said || "copy"}</span>
    </button>
  );
}

/** The time, drawn anew every few seconds, for "3 min ago". */
export function useNow(everyMs = 5_000): number {
  const [nowMs, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return nowMs;
}
