import { useEffect, useRef, useState } from "preact/hooks";
import type { Checkpoint } from "../protocol.ts";
import { asRefused, type Refused, stream, wasCancelled } from "./node-client.ts";
import { RefusalNote } from "./pieces.tsx";
import type { CheckpointPlace } from "./run-records.tsx";

interface PromptBoxProps {
  readonly run: string;
  readonly checkpoints: readonly Checkpoint[];
  readonly isTask: boolean;
  readonly place?: CheckpointPlace;
}

/** The page keeps at most this much of what a model writes. */
const textMaximum = 200_000;

/** Lets a checkpoint of the run go on with a text, word by word as it comes. */
export function PromptBox({ run, checkpoints, isTask, place = "step" }: PromptBoxProps) {
  const [prompt, setPrompt] = useState(isTask ? "1234+5678=" : "");
  const [step, setStep] = useState("");
  const [tokens, setTokens] = useState(isTask ? 8 : 200);
  const [temperature, setTemperature] = useState(isTask ? 0 : 0.8);
  const [asked, setAsked] = useState("");
  const [text, setText] = useState("");
  const [note, setNote] = useState("");
  const [refused, setRefused] = useState<Refused | null>(null);
  const writing = useRef<AbortController | null>(null);
  const [isWriting, setWriting] = useState(false);
  useEffect(() => () => writing.current?.abort(), []);
  const kept = checkpoints.filter(({ isKept }) => isKept).toReversed();

  const write = async () => {
    writing.current?.abort();
    const controller = new AbortController();
    writing.current = controller;
    setAsked(prompt);
    setText("");
    setNote("loading the model…");
    setRefused(null);
    setWriting(true);
    const parameters = {
      ...{ run, prompt, tokens, temperature },
      ...(step === "" ? {} : { step: Number(step) }),
    };
    try {
      const result = await stream<{ tokens?: number; tokensPerSecond?: number; step?: number }>(
        "sample",
        parameters,
        (event) => {
          if (event["type"] === "model") setNote(`after ${place} ${String(event["step"])}`);
          if (event["type"] !== "token") return;
          setText((before) => (before + String(event["text"])).slice(0, textMaximum));
        },
        controller.signal,
      );
      setNote(
        `${result.tokens ?? 0} tokens, ${Math.round(result.tokensPerSecond ?? 0)} tokens/s, ` +
          `after ${place} ${result.step ?? "?"}`,
      );
    } catch (error) {
      if (wasCancelled(error)) setNote("cancelled");
      else {
        setNote("");
        setRefused(asRefused(error));
      }
    } finally {
      if (writing.current === controller) setWriting(false);
    }
  };
  return (
    <section class="panel" aria-labelledby="prompt-title">
      <h2 id="prompt-title">Ask the model</h2>
      {kept.length === 0 ? (
        <p class="empty">There is no checkpoint yet. The first one can be asked.</p>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void write();
          }}
        >
          <label class="field wide">
            <span>Prompt</span>
            <textarea
              name="prompt"
              rows={2}
              value={prompt}
              onInput={(event) => setPrompt(event.currentTarget.value)}
              onKeyDown={(event) => {
                if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
                event.preventDefault();
                void write();
              }}
            />
          </label>
          <div class="fields narrow">
            <label class="field">
              <span>Checkpoint</span>
              <select value={step} onChange={(event) => setStep(event.currentTarget.value)}>
                <option value="">newest</option>
                {kept.map((checkpoint) => (
                  <option key={checkpoint.step} value={checkpoint.step}>
                    {place} {checkpoint.step}
                    {checkpoint.isBest ? ", best" : ""}
                  </option>
                ))}
              </select>
            </label>
            <label class="field">
              <span>Tokens</span>
              <input
                type="number"
                min="1"
                max="100000"
                value={tokens}
                onInput={(event) => setTokens(Number(event.currentTarget.value))}
              />
            </label>
            <label class="field">
              <span>Temperature</span>
              <input
                type="number"
                min="0"
                max="10"
                step="0.05"
                value={temperature}
                onInput={(event) => setTemperature(Number(event.currentTarget.value))}
              />
            </label>
          </div>
          <div class="actions">
            <button type="submit" class="primary" disabled={isWriting}>
              Write
            </button>
            <button type="button" disabled={!isWriting} onClick={() => writing.current?.abort()}>
              Cancel
            </button>
          </div>
        </form>
      )}
      <RefusalNote refused={refused} />
      {(text !== "" || note !== "") && (
        <div class="written">
          <pre aria-live="off" aria-busy={isWriting}>
            <span class="asked">{asked}</span>
            {text}
          </pre>
          <p class="muted" role="status">
            {note}
          </p>
        </div>
      )}
    </section>
  );
}
